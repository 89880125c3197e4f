import t from 'tap'
import type { OutputRecord } from '../kafka/log-records.ts'
import { BrokerRefusal, MemoryLog, type MemoryLogSettings } from './memory-log.ts'

/** What the TaskLog contract cannot see: the broker's half of it, as a real one was seen to behave. */
const newLog = (settings: Partial<MemoryLogSettings> = {}): MemoryLog => {
  const log = new MemoryLog({ now: () => 0, ...settings })
  log.createTopic('facts', 2)
  return log
}

const fact = (text: string, partition = 0): OutputRecord => ({
  topic: 'facts',
  partition,
  key: 'k',
  value: Buffer.from(text),
  headers: {},
})

const textsOf = (log: MemoryLog, partition = 0) =>
  log.fetch('facts', partition, 0n).records.map(({ value }) => String(value))

t.test('a producer that goes on after a lost answer loses a record without an error', async (t) => {
  const log = newLog()
  const session = log.initProducer('task')
  log.append(session, [fact('answer lost')], 0)
  log.endTransaction(session, 'aborted')
  log.append(session, [fact('acknowledged')], 0)
  log.endTransaction(session, 'committed')
  t.same(textsOf(log), [])
})

t.test('a batch out of sequence is refused', async (t) => {
  const log = newLog()
  const session = log.initProducer('task')
  log.append(session, [fact('a'), fact('b')], 0)
  t.throws(() => log.append(session, [fact('c')], 1), new BrokerRefusal('OUT_OF_ORDER_SEQUENCE_NUMBER'))
  t.throws(() => log.append(session, [fact('c')], 3), new BrokerRefusal('OUT_OF_ORDER_SEQUENCE_NUMBER'))
  log.append(session, [fact('c')], 2)
})

t.test('what was decided is acknowledged again, its opposite refused', async (t) => {
  const log = newLog()
  const session = log.initProducer('task')
  log.append(session, [fact('a')], 0)
  log.endTransaction(session, 'committed')
  log.endTransaction(session, 'committed')
  t.throws(() => log.endTransaction(session, 'aborted'), new BrokerRefusal('INVALID_TXN_STATE'))
  t.same(textsOf(log), ['a'])
})

t.test('markers reach the partitions one by one; a successor does not begin before the last', async (t) => {
  const markers: (() => void)[] = []
  const log = newLog({ deliverMarkers: (ready) => markers.push(...ready) })
  const session = log.initProducer('task')
  log.append(session, [fact('left', 0)], 0)
  log.append(session, [fact('right', 1)], 0)
  log.endTransaction(session, 'committed')
  t.same([textsOf(log, 0), textsOf(log, 1)], [[], []])
  markers[1]?.()
  t.same([textsOf(log, 0), textsOf(log, 1)], [[], ['right']])
  log.initProducer('task')
  t.same([textsOf(log, 0), textsOf(log, 1)], [['left'], ['right']])
  const { end } = log.offsets('facts', 0)
  markers[0]?.()
  t.equal(log.offsets('facts', 0).end, end, 'a marker is written once')
})

t.test('a transaction that is silent for too long is aborted, and its owner fenced', async (t) => {
  let nowMs = 0
  const log = newLog({ now: () => nowMs })
  const session = log.initProducer('task')
  log.append(session, [fact('forgotten')], 0)
  log.produce(fact('behind it'))
  nowMs = 14_999
  log.expire()
  t.same(textsOf(log), [])
  nowMs = 15_000
  log.expire()
  t.same(textsOf(log), ['behind it'])
  t.throws(() => log.endTransaction(session, 'committed'), new BrokerRefusal('INVALID_PRODUCER_EPOCH'))
})

t.test('compaction keeps offsets, and the last of each key', async (t) => {
  const log = newLog()
  const session = log.initProducer('task')
  log.append(session, [fact('old'), fact('new')], 0)
  log.endTransaction(session, 'committed')
  const { end } = log.offsets('facts', 0)
  log.compact('facts', 0, { dropTombstones: true })
  t.same(textsOf(log), ['new'])
  t.equal(log.offsets('facts', 0).end, end)
  t.equal(log.fetch('facts', 0, 0n).nextOffset, end, 'the hole at the end is read over')
})
