import fc from 'fast-check'
import t from 'tap'
import { projections } from '../index.ts'
import { fact, recorded, rowsOf, tablesAfter } from '../testing/story.ts'

const facts = [
  fact('UploadStarted'),
  fact('PartUploaded'),
  fact('UploadCompleted', { authorId: null, details: null }),
  fact('SourceProbed'),
  fact('TranscodePlanned', { generation: 1 }),
  fact('SegmentsTranscoded', { generation: 1, track: 'video' }),
  fact('RenditionTranscoded', { generation: 1 }),
  fact('PlaylistPublished', { generation: 1, complete: true }),
]
const two = ['one', 'two'].flatMap((key, index) => recorded(facts, index * facts.length, key))

for (const projection of projections) {
  t.test(`${projection.name}: the tables do not depend on where batches end`, async () => {
    const all = (batchSize: number) => {
      const tables = tablesAfter(projection, two, batchSize)
      return JSON.stringify(Object.keys(projection.tables).map((table) => rowsOf(tables, table)))
    }
    const one = all(1)
    fc.assert(fc.property(fc.integer({ min: 1, max: two.length + 1 }), (batchSize) => all(batchSize) === one))
  })
}

t.test('no table is written by two projections', async (t) => {
  const tables = projections.flatMap((projection) => Object.keys(projection.tables))
  t.same(new Set(tables).size, tables.length)
})
