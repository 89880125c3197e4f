import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { murmur2, partitionOfKey } from './murmur2.ts'
import { freshKafkajs } from './patches/fresh-kafkajs.ts'

t.test('gives what the Java client gives', async (t) => {
  // expected values of org.apache.kafka.common.utils.UtilsTest#testMurmur2
  const known = {
    21: -973932308,
    foobar: -790332482,
    'a-little-bit-long-string': -985981536,
    lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8: -58897971,
    abc: 479470107,
  }
  for (const [key, hash] of Object.entries(known)) t.equal(murmur2(Buffer.from(key)), hash, key)
})

t.test('agrees with kafkajs on any key', async () => {
  const stock = freshKafkajs([]).load<(key: Buffer) => number>('producer/partitioners/default/murmur2.js')
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      assert.equal(murmur2(Buffer.from(bytes)), stock(Buffer.from(bytes)))
    }),
  )
})

t.test('every key has a partition below the count', async () => {
  fc.assert(
    fc.property(fc.string(), fc.integer({ min: 1, max: 1024 }), (key, count) => {
      const partition = partitionOfKey(key, count)
      assert.ok(partition >= 0 && partition < count)
    }),
  )
})
