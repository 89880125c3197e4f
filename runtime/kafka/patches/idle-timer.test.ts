import t, { type Test } from 'tap'
import { freshKafkajs, quietLogger } from './fresh-kafkajs.ts'
import { idleTimer } from './idle-timer.ts'
import type { KafkajsPatch } from './modules.ts'

interface Queue {
  readonly inflight: Map<number, { sentAt: number; requestTimeout: number; timeoutRequest(): void }>
  scheduleRequestTimeoutCheck(): void
  destroy(): void
  throttledUntil: number
  checkPendingRequests(): void
  push(request: object): void
}

/** A queue whose timers are recorded instead of armed; `fire` runs the ones armed so far. */
const queueOf = (t: Test, patches: readonly KafkajsPatch[]) => {
  const RequestQueue = freshKafkajs(patches).load<new (options: object) => Queue>('network/requestQueue/index.js')
  const queue = new RequestQueue({
    maxInFlightRequests: null,
    requestTimeout: 1000,
    enforceRequestTimeout: true,
    logger: quietLogger,
  })
  const timers: { run: () => void; delayMs: number }[] = []
  t.intercept(globalThis, 'setTimeout', {
    value: (run: () => void, delayMs: number) => timers.push({ run, delayMs }),
  })
  const fire = (): void => {
    for (const { run } of timers.splice(0)) run()
  }
  return { queue, timers, fire }
}

t.test('an idle connection arms no timer', async (t) => {
  const { queue, timers } = queueOf(t, [idleTimer])
  queue.checkPendingRequests()
  t.same(timers, [])
})

t.test('a throttled request goes out when the throttle ends', async (t) => {
  const { queue, timers, fire } = queueOf(t, [idleTimer])
  const sent: string[] = []
  queue.throttledUntil = Date.now() + 500
  queue.push({
    entry: { correlationId: 1, resolve: () => {} },
    expectResponse: false,
    sendRequest: () => sent.push('request'),
  })
  t.equal(timers.length, 1)
  t.ok((timers[0]?.delayMs ?? 0) > 400, 'the timer waits for the end of the throttle')
  queue.throttledUntil = -1
  fire()
  t.same(sent, ['request'])
})

t.test('stock arms one for ever: the patch is still needed', async (t) => {
  const { queue, timers, fire } = queueOf(t, [])
  queue.checkPendingRequests()
  for (let wakeUps = 0; wakeUps < 3; wakeUps += 1) {
    t.equal(timers.length, 1)
    t.ok((timers[0]?.delayMs ?? 0) < 0, 'with a negative delay')
    fire()
  }
})

t.test('requests in flight are looked at twice a second, and time out', async (t) => {
  const { queue } = queueOf(t, [idleTimer])
  const checks: { run: () => void; everyMs: number }[] = []
  t.intercept(globalThis, 'setInterval', {
    value: (run: () => void, everyMs: number) => checks.push({ run, everyMs }),
  })
  const timedOut: string[] = []
  const request = (name: string, ageMs: number) => ({
    sentAt: Date.now() - ageMs,
    requestTimeout: 1000,
    timeoutRequest: () => timedOut.push(name),
  })
  queue.inflight.set(1, request('old', 1500)).set(2, request('young', 100))
  queue.scheduleRequestTimeoutCheck()
  t.match(checks, [{ everyMs: 500 }])
  checks[0]?.run()
  t.same(timedOut, ['old'])
})
