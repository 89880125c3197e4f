import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { cutBySize, MAX_RECORD_BYTES, type OutputRecord, sizeOfRecord, toLogRecord } from './log-records.ts'

const raw = { offset: '9007199254740993', timestamp: '1700000000000', key: Buffer.from('k'), value: Buffer.from('v') }

t.test('a fetched record becomes text, numbers and an exact offset', async (t) => {
  const headers = { one: Buffer.from('ä'), many: [Buffer.from('first'), Buffer.from('last')], none: undefined }
  t.same(toLogRecord('topic', 3, { ...raw, headers }), {
    topic: 'topic',
    partition: 3,
    offset: 9007199254740993n,
    timestampMs: 1_700_000_000_000,
    key: 'k',
    value: Buffer.from('v'),
    headers: { one: 'ä', many: 'last' },
  })
  t.match(toLogRecord('topic', 0, { ...raw, key: null, value: null }), { key: null, value: null, headers: {} })
})

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
