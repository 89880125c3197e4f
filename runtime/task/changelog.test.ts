import t from 'tap'
import { createCodec } from '../codec/avro.ts'
import { memoryDirectory } from '../codec/schema-directory.ts'
import { sendOrders } from '../testing/example.ts'
import { type Entry, fromRecord, SEPARATOR, toRecord } from './changelog.ts'
import { TaskMemory } from './task-memory.ts'

/** What a changelog may hold that this code did not write: another release was here, or it is damaged. */
const codec = createCodec(memoryDirectory())
const { state } = sendOrders
const counted: Entry = { kind: 'state', change: { key: 'a', collection: 'count', id: '', value: { count: 1 } } }
const written = toRecord(counted, codec, state)

t.test('an entry of a kind that is not known', async (t) => {
  const foreign = { ...written, key: ['z', 'a'].join(SEPARATOR) }
  t.throws(() => fromRecord(foreign, codec, state), { code: 'CHANGELOG_UNREADABLE', facts: { key: foreign.key } })
})

t.test('a collection that is not declared, read or written', async (t) => {
  const message = 'the changelog holds a collection count'
  t.throws(() => fromRecord(written, codec, {}), { code: 'COLLECTION_UNKNOWN', message })
  t.throws(() => toRecord(counted, codec, {}), {
    code: 'COLLECTION_UNKNOWN',
    message: 'no collection count is declared',
  })
})

t.test('a memory says which of it is damaged, until the entry is written anew or gone', async (t) => {
  const key = ['s', 'a', 'forgotten', ''].join(SEPARATOR)
  const memory = new TaskMemory(sendOrders, codec)
  memory.restore(written)
  t.equal(memory.damage, undefined)
  memory.restore({ ...written, key })
  t.match(memory.damage, { code: 'COLLECTION_UNKNOWN', message: 'the changelog holds a collection forgotten' })
  memory.restore({ key, value: null })
  t.equal(memory.damage, undefined)
  t.same(memory.store.entries('a', 'count'), [['', { count: 1 }]], 'the rest is there')
})
