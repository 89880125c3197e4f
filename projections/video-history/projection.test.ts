import t from 'tap'
import { fact, recorded, rowsOf, tablesAfter } from '../testing/story.ts'
import { videoCatalogue } from '../video-catalogue/projection.ts'
import { type HistoryRow, videoHistory } from './projection.ts'

const facts = recorded([
  fact('UploadStarted'),
  fact('PartUploaded'),
  fact('UploadCompleted', { authorId: null, details: null }),
  fact('SourceProbed'),
  fact('TranscodePlanned', { generation: 1 }),
  fact('SegmentsTranscoded', { generation: 1, track: 'video' }),
  fact('PlaylistPublished', { generation: 1, complete: true }),
  fact('GenerationSelected', { generation: 1 }),
])
const history = (count = facts.length) =>
  rowsOf<HistoryRow>(tablesAfter(videoHistory, facts.slice(0, count)), 'videoHistory').toSorted((a, b) => a.seq - b.seq)

t.test('every fact is a row, numbered without gaps', async (t) => {
  t.same(
    history().map(({ seq, type }) => [seq, type]),
    facts.map(({ type }, index) => [index + 1, type]),
  )
})

t.test('after every fact, the last row is the row of the catalogue', async (t) => {
  for (let count = 1; count <= facts.length; count++) {
    const [live] = rowsOf(tablesAfter(videoCatalogue, facts.slice(0, count)), 'videos')
    t.same(history(count).at(-1)?.snapshot, live, facts[count - 1]?.type ?? '')
  }
})

t.test('a refusal about a video that never was leaves nothing', async (t) => {
  t.equal(tablesAfter(videoHistory, recorded([fact('ClaimRefused')])).size, 0)
})
