import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { freshKafkajs } from './fresh-kafkajs.ts'
import { type FilterAborted, readCommittedFilter } from './read-committed-filter.ts'

const load = (patches: Parameters<typeof freshKafkajs>[0]): FilterAborted =>
  freshKafkajs(patches).load('consumer/filterAbortedMessages.js')
const stock = load([])
const patched = load([readCommittedFilter])

type LogEntry = Parameters<FilterAborted>[0]['messages'][number]
interface Transaction {
  readonly producerId: string
  readonly firstOffset: string
}

const record = (offset: number, producerId: number, key = Buffer.from('k'), inTransaction = true): LogEntry => ({
  offset: String(offset),
  key,
  isControlRecord: false,
  batchContext: { producerId: String(producerId), inTransaction },
})
const marker = (offset: number, producerId: number, committed: boolean): LogEntry => ({
  ...record(offset, producerId, Buffer.from([0, 0, 0, committed ? 1 : 0])),
  isControlRecord: true,
})
const aborted = (producerId: number, firstOffset: number): Transaction => ({
  producerId: String(producerId),
  firstOffset: String(firstOffset),
})
const visible = (filter: FilterAborted, messages: LogEntry[], abortedTransactions: Transaction[]): number[] =>
  filter({ messages, abortedTransactions })
    .filter(({ isControlRecord }) => !isControlRecord)
    .map(({ offset }) => Number(offset))

const cases: Record<string, { messages: LogEntry[]; transactions: Transaction[]; expected: number[] }> = {
  'two transactions that began before the fetch': {
    messages: [record(20, 2), record(21, 1), record(22, 2), marker(30, 2, false), marker(31, 1, false)],
    transactions: [aborted(1, 10), aborted(2, 11)],
    expected: [],
  },
  'a list that is not sorted by first offset': {
    messages: [record(10, 1), record(11, 1), record(25, 2), marker(30, 2, false), record(31, 1), marker(40, 1, false)],
    transactions: [aborted(2, 25), aborted(1, 10)],
    expected: [],
  },
  'a record whose key looks like an abort marker': {
    messages: [record(10, 1), record(11, 1, Buffer.from([0, 0, 0, 0])), record(12, 1), marker(13, 1, false)],
    transactions: [aborted(1, 10)],
    expected: [],
  },
  'a committed transaction after two aborted ones': {
    messages: [marker(30, 2, false), marker(31, 1, false), record(32, 2), record(33, 2), marker(34, 2, true)],
    transactions: [aborted(1, 10), aborted(2, 11)],
    expected: [32, 33],
  },
}

for (const [name, { messages, transactions, expected }] of Object.entries(cases)) {
  t.test(`shows exactly the committed records of ${name}`, async (t) => {
    t.same(visible(patched, messages, transactions), expected)
    t.notSame(visible(stock, messages, transactions), expected, 'stock gets this wrong: the patch is still needed')
  })
}

t.test('shows exactly the committed records of any interleaving, from any start', async () => {
  const step = fc.record({ producer: fc.integer({ min: 1, max: 4 }), act: fc.constantFrom('write', 'commit', 'abort') })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.nat(70), (steps, start) => {
      const { log, transactions, committed } = writeLog(steps)
      const from = Math.min(start, log.length)
      const fetched = log.slice(from)
      const listed = transactions.filter(({ endsAt }) => endsAt >= from) // sorted by marker, as the broker's index is
      assert.deepEqual(
        visible(patched, fetched, listed),
        committed.filter((offset) => offset >= from),
      )
    }),
    { numRuns: 500 },
  )
})

/** A log as the broker would have written it; transactions that are still open at the end are beyond the LSO: aborted. */
const writeLog = (steps: readonly { producer: number; act: string }[]) => {
  const log: LogEntry[] = []
  const open = new Map<number, number[]>()
  const transactions: (Transaction & { endsAt: number })[] = []
  const committed: number[] = []
  const end = (producer: number, commit: boolean): void => {
    const offsets = open.get(producer)
    const first = offsets?.[0]
    if (offsets === undefined || first === undefined) return
    if (commit) committed.push(...offsets)
    else transactions.push({ ...aborted(producer, first), endsAt: log.length })
    log.push(marker(log.length, producer, commit))
    open.delete(producer)
  }
  for (const { producer, act } of steps) {
    if (act === 'write') {
      open.set(producer, [...(open.get(producer) ?? []), log.length])
      log.push(record(log.length, producer))
    } else end(producer, act === 'commit')
  }
  for (const producer of [...open.keys()]) end(producer, false)
  return { log, transactions, committed: committed.sort((a, b) => a - b) }
}
