import { pino } from 'pino'
import t from 'tap'
import { systemClock } from '../../platform/clock.ts'
import { silentLogger } from '../../platform/log.ts'
import { type Codec, createCodec } from '../codec/avro.ts'
import { memoryDirectory } from '../codec/schema-directory.ts'
import { UNLIMITED } from '../task/attempts.ts'
import { toRecord } from '../task/changelog.ts'
import { sendOrders } from '../testing/example.ts'
import { unobserved } from './observer.ts'
import { Restorer } from './restorer.ts'
import { SchemaPatience } from './schema-patience.ts'
import type { TaskLog } from './task-log.ts'
import { TaskSignal } from './task-signal.ts'

const never = () => Promise.reject(new RangeError('not asked for here'))

const restorerOf = (taskLog: TaskLog, codec: Codec, { clock = systemClock, log = silentLogger } = {}): Restorer =>
  new Restorer({
    processor: sendOrders,
    stepLimits: UNLIMITED,
    codec,
    source: '/test',
    task: 0,
    instanceId: 'p1',
    clock,
    log,
    observer: unobserved,
    taskLog,
    patience: new SchemaPatience(async () => undefined, clock),
    signal: new TaskSignal(clock),
  })

/** A changelog from offset 100 to 200 that comes in fetches of 25 offsets with 10 entries each, one in so many ms. */
const restore = async (fetchMs: number) => {
  let nowMs = 1_000_000
  const clock = { ...systemClock, monotonicMs: () => nowMs }
  const lines: Record<string, unknown>[] = []
  const log = pino({ base: null, timestamp: false }, { write: (line) => void lines.push(JSON.parse(line)) })
  const progresses: unknown[] = []
  const entry = (n: number) => ({ key: `unknown-${n}`, value: null })
  const taskLog: TaskLog = {
    open: never,
    inputRanges: never,
    readInput: never,
    readOutputs: never,
    readChangelog: async (onRecords) => {
      for (const next of [125n, 150n, 175n, 200n]) {
        nowMs += fetchMs
        await onRecords(
          Array.from({ length: 10 }, (_, n) => entry(n)),
          { from: 100n, next, end: 200n },
        )
        progresses.push(restorer.progress)
      }
      return { beginning: 100n, next: 200n }
    },
  }
  const restorer = restorerOf(taskLog, createCodec(memoryDirectory()), { clock, log })
  t.equal(restorer.progress, null)
  await restorer.restore()
  t.equal(restorer.progress, null, 'it is over')
  return { progresses, lines }
}

t.test('a restore tells how far it is, by the offsets that it has read', async (t) => {
  const { progresses } = await restore(2_000)
  t.same(progresses, [
    { entries: 10, offsets: 25, ofOffsets: 100, etaMs: 6_000 },
    { entries: 20, offsets: 50, ofOffsets: 100, etaMs: 4_000 },
    { entries: 30, offsets: 75, ofOffsets: 100, etaMs: 2_000 },
    { entries: 40, offsets: 100, ofOffsets: 100, etaMs: 0 },
  ])
})

t.test('one that takes long says so every few seconds, and at its end', async (t) => {
  const { lines } = await restore(3_000)
  t.match(lines, [
    { msg: 'task restores its memory', entries: 20, offsets: 50, ofOffsets: 100, etaMs: 6_000 },
    { msg: 'task restores its memory', entries: 40, offsets: 100, ofOffsets: 100, etaMs: 0 },
    { msg: 'task has restored its memory', entries: 40, durationMs: 12_000 },
  ])
  t.equal(lines.length, 3)
})

t.test('one that does not take long says nothing', async (t) => {
  t.same((await restore(1_000)).lines, [])
})

t.test('what was restored before a changelog lost its entries is not gone on from', async (t) => {
  const codec = createCodec(memoryDirectory())
  const count = { kind: 'state', change: { key: 'o-1', collection: 'count', id: '', value: { count: 1 } } } as const
  let beginning = 0n
  const taskLog: TaskLog = {
    open: never,
    inputRanges: never,
    readInput: never,
    readOutputs: never,
    readChangelog: async (onRecords, fromOffset = beginning) => {
      if (fromOffset === 0n)
        await onRecords([toRecord(count, codec, sendOrders.state)], { from: 0n, next: 1n, end: 1n })
      return { beginning, next: 1n }
    },
  }
  const restorer = restorerOf(taskLog, codec)
  const dormant = await restorer.restore()
  t.same(dormant.core.state('o-1').count, { '': { count: 1 } })
  t.equal((await restorer.restore(dormant)).core, dormant.core)
  beginning = 1n
  t.same((await restorer.restore(dormant)).core.state('o-1').count, {})
})
