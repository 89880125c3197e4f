import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { cutBySize, MAX_RECORD_BYTES, type OutputRecord, sizeOfRecord } from './log-records.ts'

const records: fc.Arbitrary<OutputRecord[]> = fc.array(
  fc.record(
    {
      topic: fc.constant('topic'),
      key: fc.string({ unit: 'binary' }),
      value: fc.option(fc.integer({ min: 0, max: MAX_RECORD_BYTES }).map((bytes) => Buffer.alloc(bytes))),
      headers: fc.dictionary(fc.string(), fc.string(), { noNullPrototype: true }),
    },
    { noNullPrototype: true },
  ),
  { maxLength: 12 },
)

t.test('runs keep the order, lose nothing and fit, unless a single record does not', async () => {
  fc.assert(
    fc.property(records, (all) => {
      const runs = cutBySize(all)
      assert.deepEqual(
        runs.flatMap((run) => run.records),
        all,
      )
      for (const run of runs) {
        assert.equal(
          run.sizeBytes,
          run.records.reduce((sum, record) => sum + sizeOfRecord(record), 0),
        )
        assert.ok(run.sizeBytes <= MAX_RECORD_BYTES || run.records.length === 1)
      }
    }),
    { numRuns: 50 },
  )
})
