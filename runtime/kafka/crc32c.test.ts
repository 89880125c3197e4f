import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { crc32c } from './crc32c.ts'
import { freshKafkajs } from './patches/fresh-kafkajs.ts'

t.test('the check value of the standard', async (t) => {
  t.equal(crc32c(Buffer.from('123456789')), 0xe3069283) // RFC 3720, B.4; reveng.sourceforge.io/crc-catalogue
  t.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa)
})

t.test('the same as kafkajs, which takes one byte at a time, whatever the length and the place', async () => {
  const stock = freshKafkajs([]).load<(bytes: Buffer) => number>('protocol/recordBatch/crc32C/index.js')
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(50), (bytes, from) => {
      const buffer = Buffer.from(bytes)
      assert.equal(crc32c(buffer, from, Math.max(from, buffer.length)), stock(buffer.subarray(from)) >>> 0)
    }),
  )
})
