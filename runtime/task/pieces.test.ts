import fc from 'fast-check'
import t from 'tap'
import { MAX_RECORD_BYTES } from '../kafka/log-records.ts'
import { Pieces } from './pieces.ts'

/** Sizes at and around every place where one more piece begins. */
const sizes = fc
  .tuple(fc.integer({ min: 0, max: 4 }), fc.integer({ min: -2, max: 2 }))
  .map(([pieces, more]) => Math.max(0, pieces * MAX_RECORD_BYTES + more))

t.test('what is cut is joined again, and leaves nothing when it is removed', async () => {
  await fc.assert(
    fc.asyncProperty(sizes, async (size) => {
      const record = { key: 'q\u001fo-1\u001f0000000000000001', value: Buffer.alloc(size, 'abc') }
      const [writer, reader] = [new Pieces(), new Pieces()]
      const written = writer.cut(record)
      t.ok(written.every(({ value }) => (value?.length ?? 0) <= MAX_RECORD_BYTES))
      const read = written.map((piece) => reader.join(piece))
      t.same(read.slice(0, -1), read.slice(0, -1).fill(null))
      t.equal(read.at(-1)?.key, record.key)
      t.ok(read.at(-1)?.value?.equals(record.value))
      const keys = size > MAX_RECORD_BYTES ? written.map(({ key }) => key) : []
      t.same(
        writer.remove(record.key).map(({ key }) => key),
        keys,
      )
      t.same(
        [...reader.clear()].map(({ key }) => key),
        keys,
      )
      t.same(reader.remove(record.key), [], 'once')
    }),
    { numRuns: 30 },
  )
})
