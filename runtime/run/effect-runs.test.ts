import { getEventListeners } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import { type Scheduler, systemClock } from '../../platform/clock.ts'
import { silentLogger } from '../../platform/log.ts'
import { createCodec } from '../codec/avro.ts'
import { memoryDirectory } from '../codec/schema-directory.ts'
import { SUSPECT_AFTER } from '../effect-policy.ts'
import type { LiveEffect } from '../task/effect-ledger.ts'
import { spanOfRun } from '../task/effect-span.ts'
import { BoxSentSchema, ReceiptSchema, sendOrders } from '../testing/example.ts'
import { seededRandom } from '../testing/simulation/random.ts'
import { SimulatedProcess } from '../testing/simulation/simulated-process.ts'
import { VirtualTime } from '../testing/simulation/virtual-time.ts'
import { type EffectMessage, EffectRuns } from './effect-runs.ts'
import { EffectSlots, type Executor } from './executors.ts'
import { type EndedRun, type EngineObserver, unobserved } from './observer.ts'

const record = {
  effect: 'send',
  input: Buffer.alloc(0),
  causeId: 'cause',
  sequence: 1,
  runs: 1,
  unproven: 1,
  failures: 0,
  resumeFrom: 0,
  replayed: false,
  notBeforeMs: 0,
  askedAtMs: 0,
  traceparent: null,
}
const effectOf = (id: string, key: string): LiveEffect => ({ id, key, input: { boxes: 1 }, record })

/** No time limit is reached. */
const timeless: Scheduler = { ...systemClock, after: () => () => undefined }

/** Executors that begin and then do nothing until they are told to end; deaf to their signals. */
const open = (send?: Executor, clock: Scheduler = timeless, observer: EngineObserver = unobserved) => {
  const begun = new Map<string, () => void>()
  const told: EffectMessage[] = []
  let freed = 0
  const slots = new EffectSlots(sendOrders.effects)
  slots.onFree(() => {
    freed += 1
  })
  const directory = memoryDirectory()
  for (const schema of [ReceiptSchema, BoxSentSchema]) directory.idOf(schema)
  const runs = new EffectRuns({
    processor: sendOrders,
    codec: createCodec(directory),
    executors: {
      send:
        send ??
        ((_input, { effectId }) =>
          new Promise((resolve) => {
            begun.set(effectId, () => resolve({ trackingId: effectId }))
          })),
    },
    slots,
    observer,
    log: silentLogger,
    clock,
    tell: (message) => told.push(message),
  })
  const launch = (effect: LiveEffect): boolean => {
    const hasSlot = runs.reserve(effect)
    if (hasSlot) runs.launch(effect, new Map())
    return hasSlot
  }
  return { runs, launch, told, end: (id: string) => begun.get(id)?.(), begun, freed: () => freed }
}

t.test('as many at once as there are slots', async (t) => {
  const { launch } = open()
  t.ok(launch(effectOf('a', 'o-1')))
  t.ok(launch(effectOf('b', 'o-2')))
  t.notOk(launch(effectOf('c', 'o-3')))
})

t.test('two that may have killed their process do not run beside each other', async (t) => {
  const { launch, runs, end, told } = open()
  const suspect = (id: string, key: string) => ({
    ...effectOf(id, key),
    record: { ...record, unproven: SUSPECT_AFTER },
  })
  t.ok(launch(suspect('a', 'o-1')))
  t.notOk(launch(suspect('b', 'o-2')))
  t.ok(launch(effectOf('c', 'o-3')), 'others do')
  end('a')
  await nextTurn()
  told[0]?.done()
  t.notOk(runs.has('a'))
  t.ok(launch(suspect('b', 'o-2')))
})

t.test('the end of a run is told, and its slot is free when that is committed', async (t) => {
  const { launch, told, end, runs } = open()
  launch(effectOf('a', 'o-1'))
  end('a')
  await nextTurn()
  t.match(told, [{ kind: 'settled', effectId: 'a', outcome: { ok: true, value: { trackingId: 'a' } } }])
  t.ok(runs.has('a'))
  told[0]?.done()
  t.notOk(runs.has('a'))
})

t.test('the next effect of a key waits for a cancelled one to let go, other keys do not', async (t) => {
  const { launch, runs, end, freed } = open()
  launch(effectOf('a', 'o-1'))
  runs.cancel('a')
  t.notOk(runs.reserve(effectOf('b', 'o-1')))
  t.ok(runs.reserve(effectOf('c', 'o-2')))
  const before = freed()
  end('a')
  await nextTurn()
  t.ok(freed() > before, 'whoever waits is woken')
  t.ok(runs.reserve(effectOf('b', 'o-1')))
})

t.test('what was aborted before its commit was there never begins', async (t) => {
  const { runs, begun } = open()
  const effect = effectOf('a', 'o-1')
  runs.reserve(effect)
  await runs.interruptAll(10)
  runs.launch(effect, new Map())
  await nextTurn()
  t.equal(begun.size, 0)
  t.same(runs.ids(), ['a'], 'so that the task journals that it was interrupted')
})

t.test('what is not of the declared type ends the effect: nothing else could wait with a blocked key', async (t) => {
  const misfit = { kind: 'failed', failure: { code: 'ENCODE_INVALID', retryable: false } }
  const result = open(async () => ({ tracking: 'a' }))
  result.launch(effectOf('a', 'o-1'))
  await nextTurn()
  t.match(result.told, [misfit])
  t.match(result.told, [{ failure: { detail: /trackingId is missing/ } }])
  const report = open(async (_input, run) => {
    await run.report(1, { n: 'one' })
    return { trackingId: 'a' }
  })
  report.launch(effectOf('a', 'o-1'))
  await nextTurn()
  t.match(report.told, [misfit])
})

t.test('what is too large for a record ends the effect, too', async (t) => {
  const { launch, told } = open(async () => ({ trackingId: 'x'.repeat(1_000_000) }))
  launch(effectOf('a', 'o-1'))
  await nextTurn()
  t.match(told, [{ kind: 'failed', failure: { code: 'RECORD_TOO_LARGE', retryable: false } }])
})

t.test('a run that has ended leaves nothing that listens', async (t) => {
  const signals: AbortSignal[] = []
  const { launch } = open((_input, { signal, effectId }) => {
    signals.push(signal)
    return Promise.resolve({ trackingId: effectId })
  })
  launch(effectOf('a', 'o-1'))
  t.equal(getEventListeners(signals[0] as AbortSignal, 'abort').length, 1, 'while it runs')
  await nextTurn()
  t.same(getEventListeners(signals[0] as AbortSignal, 'abort'), [])
})

t.test('a run that takes longer than its time is aborted, and may be tried again', async (t) => {
  const LIMIT_MS = Number(sendOrders.effects.send?.policy.timeoutMs)
  const LET_GO_MS = 10_000
  const timedOut = { kind: 'failed', effectId: 'a', failure: { code: 'EFFECT_TIMEOUT', retryable: true } }
  const heeding: Executor = (_input, { signal }) =>
    new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  for (const [send, toldAfterMs] of [
    [heeding, LIMIT_MS],
    [undefined, LIMIT_MS + LET_GO_MS],
  ] as const) {
    const time = new VirtualTime(seededRandom(1), 0)
    const { launch, told } = open(send, new SimulatedProcess('p1', time, seededRandom(1)).clock)
    launch(effectOf('a', 'o-1'))
    await time.runUntil(toldAfterMs - 1)
    t.same(told, [])
    await time.runUntil(toldAfterMs)
    t.match(told, [timedOut])
    t.equal(told.length, 1)
  }
})

t.test('a run tells its span: a child of what asked for the effect, with its end', async (t) => {
  const ran: EndedRun[] = []
  const observer = { ...unobserved, ran: (run: EndedRun) => void ran.push(run) }
  const { launch, end } = open(undefined, timeless, observer)
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  launch({ ...effectOf('traced', 'o-1'), record: { ...record, runs: 2, traceparent } })
  launch(effectOf('untraced', 'o-2'))
  end('traced')
  end('untraced')
  for (let turn = 0; turn < 5; turn++) await nextTurn()
  const about = { processor: 'send-orders', effect: 'send', end: 'settled', code: null }
  t.match(ran, [
    { ...about, effectId: 'traced', attempt: 2, span: { traceId: '0af7651916cd43dd8448eb211c80319c', flags: '01' } },
    { ...about, effectId: 'untraced', attempt: 1, span: null },
  ])
  t.equal(ran[0]?.span?.parentSpanId, 'b7ad6b7169203331')
  t.equal(
    ran[0]?.span?.spanId,
    spanOfRun('send-orders', 'traced', { traceparent, runs: 2 })?.spanId,
    'as facts name it',
  )
})

t.test('a run is that of its effect as long as the input is the same', async (t) => {
  const { launch, runs } = open()
  const effect = effectOf('a', 'o-1')
  t.notOk(runs.isRunOf(effect), 'nothing runs')
  launch(effect)
  t.ok(runs.isRunOf(effectOf('a', 'o-1')))
  t.notOk(runs.isRunOf({ ...effect, record: { ...record, input: Buffer.from([1]) } }))
})
