import { mock } from 'node:test'
import t, { type Test } from 'tap'
import { UploadError } from './errors.ts'
import { Outage } from './outage.ts'
import { MAX_ATTEMPTS, Retryable, retrying } from './retry.ts'

const MINUTE_MS = 60_000
const silence = () => new Retryable(new UploadError('CONNECTION_FAILED', 'Nobody answers.'))
const failure = (status: number) => new Retryable(new UploadError('HTTP', `${status}.`, status))

/** Nothing happens but by this clock. */
const withClock = (t: Test): void => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000 })
  t.teardown(() => mock.timers.reset())
}

/** Lets time pass until the work is done, at most so long. */
const inTime = async <T>(
  work: Promise<T>,
  withinMs = 100 * MINUTE_MS,
): Promise<PromiseSettledResult<T> | 'goes on'> => {
  let result: PromiseSettledResult<T> | undefined
  void Promise.allSettled([work]).then(([settled]) => {
    result = settled
  })
  for (let passedMs = 0; passedMs < withinMs; passedMs += 1000) {
    await new Promise(setImmediate)
    if (result !== undefined) return result
    mock.timers.tick(1000)
  }
  return 'goes on'
}

/** Fails until then. */
const untilMs = (atMs: number, fault: () => Error) => {
  const attempts: number[] = []
  const call = async () => {
    attempts.push(Date.now())
    if (Date.now() < atMs) throw fault()
    return 'there'
  }
  return { attempts, call }
}

t.test('by default twelve attempts are borne', async (t) => {
  withClock(t)
  const { attempts, call } = untilMs(Number.POSITIVE_INFINITY, silence)
  t.match(await inTime(retrying(call)), { status: 'rejected', reason: { code: 'CONNECTION_FAILED' } })
  t.equal(attempts.length, MAX_ATTEMPTS)
})

t.test('an outage is borne for as long as was asked for, and told while it lasts', async (t) => {
  for (const fault of [silence, () => failure(503)]) {
    withClock(t)
    const told: boolean[] = []
    const outage = new Outage(60 * MINUTE_MS, (isWaiting) => told.push(isWaiting))
    const { call } = untilMs(Date.now() + 50 * MINUTE_MS, fault)
    t.match(await inTime(retrying(call, undefined, outage)), { status: 'fulfilled', value: 'there' })
    t.same(told, [true, false])
    const beganAtMs = Date.now()
    const dead = untilMs(Number.POSITIVE_INFINITY, fault)
    t.match(await inTime(retrying(dead.call, undefined, outage)), { status: 'rejected' })
    t.ok(Math.abs(Date.now() - beganAtMs - 60 * MINUTE_MS) < MINUTE_MS, 'and no longer')
    mock.timers.reset()
  }
})

t.test('when the upload expires there is nothing to wait for', async (t) => {
  withClock(t)
  const outage = new Outage(Number.POSITIVE_INFINITY)
  const beganAtMs = Date.now()
  outage.endAt(beganAtMs + 20 * MINUTE_MS)
  const { call } = untilMs(Number.POSITIVE_INFINITY, silence)
  t.match(await inTime(retrying(call, undefined, outage)), { status: 'rejected' })
  t.ok(Math.abs(Date.now() - beganAtMs - 20 * MINUTE_MS) < MINUTE_MS)
})

t.test('a server that answers is not waited for: what it says twelve times it means', async (t) => {
  for (const status of [400, 501]) {
    withClock(t)
    const told: boolean[] = []
    const outage = new Outage(Number.POSITIVE_INFINITY, (isWaiting) => told.push(isWaiting))
    const { attempts, call } = untilMs(Number.POSITIVE_INFINITY, () => failure(status))
    t.match(await inTime(retrying(call, undefined, outage)), { status: 'rejected', reason: { status } })
    t.equal(attempts.length, MAX_ATTEMPTS)
    t.same(told, [])
    mock.timers.reset()
  }
})

t.test('one request that fails while others are answered is no outage', async (t) => {
  withClock(t)
  const told: boolean[] = []
  const outage = new Outage(0, (isWaiting) => told.push(isWaiting))
  const { call } = untilMs(Date.now() + MINUTE_MS, () => {
    mock.timers.tick(1)
    outage.answered()
    return silence()
  })
  t.match(await inTime(retrying(call, undefined, outage)), { status: 'fulfilled' })
  t.same(told, [])
})

t.test('a browser without a network waits for it, and then does not wait any longer', async (t) => {
  withClock(t)
  const page = new EventTarget()
  const network = { onLine: false }
  const real = Object.getOwnPropertyDescriptor(globalThis, 'navigator')
  const { addEventListener, removeEventListener } = globalThis
  Object.defineProperty(globalThis, 'navigator', { value: network, configurable: true })
  Object.assign(globalThis, {
    addEventListener: page.addEventListener.bind(page),
    removeEventListener: page.removeEventListener.bind(page),
  })
  t.teardown(() => {
    if (real !== undefined) Object.defineProperty(globalThis, 'navigator', real)
    Object.assign(globalThis, { addEventListener, removeEventListener })
  })
  let attempts = 0
  const call = async () => {
    attempts += 1
    if (!network.onLine) throw silence()
    return 'there'
  }
  const told: boolean[] = []
  const work = retrying(call, undefined, new Outage(0, (isWaiting) => told.push(isWaiting)))
  t.equal(await inTime(work, 60 * MINUTE_MS), 'goes on', 'for an hour')
  t.ok(attempts > MAX_ATTEMPTS)
  network.onLine = true
  page.dispatchEvent(new Event('online'))
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate)
  t.equal(await work, 'there', 'without the clock')
  t.same(told, [true, false])
})
