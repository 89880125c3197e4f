import t from 'tap'
import type { VideoEvent } from '../../schemas/topics.ts'
import { videoEvents } from '../../schemas/topics.ts'
import { fact, recorded, rowsOf, tablesAfter } from '../testing/story.ts'
import type { OutcomeRow } from './outcome.ts'
import { videoCatalogue } from './projection.ts'
import type { UploadPartRow, UploadRow } from './upload.ts'
import type { VideoRow } from './video.ts'

const upload = [fact('UploadStarted'), fact('PartUploaded'), fact('PartUploaded', { partNumber: 2 })]
const transcode = [
  fact('UploadCompleted', { authorId: null, details: null }),
  fact('SourceProbed'),
  fact('TranscodePlanned', { generation: 1 }),
  fact('SegmentsTranscoded', { generation: 1, track: 'video', firstIndex: 0 }),
]
const growing = fact('PlaylistPublished', {
  generation: 1,
  revision: 1,
  complete: false,
  masterKey: 'v/x/g1/r1/master.m3u8',
})
const complete = fact('PlaylistPublished', {
  generation: 1,
  revision: 2,
  complete: true,
  masterKey: 'v/x/g1/r2/master.m3u8',
})
const selected = fact('GenerationSelected', { generation: 1 })

const tables = (facts: readonly VideoEvent[]) => tablesAfter(videoCatalogue, recorded(facts))
const video = (facts: readonly VideoEvent[]) => rowsOf<VideoRow>(tables(facts), 'videos')[0]
const uploadOf = (facts: readonly VideoEvent[]) => rowsOf<UploadRow>(tables(facts), 'uploads')[0]

t.test('a video is uploading, then processing, then ready', async (t) => {
  t.match(video(upload), { status: 'uploading', playable: false, ready: false, durationMs: null })
  t.match(video([...upload, ...transcode]), { status: 'processing', playable: false, generation: 1 })
  t.match(video([...upload, ...transcode, growing]), { status: 'processing', playable: true, ready: false })
  t.match(video([...upload, ...transcode, growing, complete]), { status: 'ready', playable: true, ready: true })
})

t.test('what the author wrote is what is shown', async (t) => {
  const { details } = fact('UploadStarted').data
  t.match(video(upload), { title: details?.title, author: details?.author, tags: details?.tags, revision: 1 })
})

t.test('an imported video begins with UploadCompleted and has no upload', async (t) => {
  const { authorId, details } = fact('UploadStarted').data
  const imported = [fact('UploadCompleted', { authorId, details })]
  t.match(video(imported), { status: 'processing', authorId, title: details?.title })
  t.equal(uploadOf(imported), undefined)
})

t.test('UploadCompleted of an upload that nobody began makes no video', async (t) => {
  t.equal(video([fact('UploadCompleted', { authorId: null, details: null })]), undefined)
})

t.test('an aborted upload fails the video with the code of the upload', async (t) => {
  const facts = [...upload, fact('UploadAborted', { reason: 'EXPIRED', code: 'UPLOAD_EXPIRED', detail: 'Too late.' })]
  t.match(video(facts), { status: 'failed', errorCode: 'UPLOAD_EXPIRED', errorMessage: 'Too late.' })
  t.match(uploadOf(facts), { status: 'aborted', code: 'UPLOAD_EXPIRED' })
})

t.test('a rejected source rejects the video with the sentence for the uploader', async (t) => {
  const facts = [
    ...upload,
    transcode[0] as VideoEvent,
    fact('SourceRejected', { code: 'NO_VIDEO', detail: 'No picture.' }),
  ]
  t.match(video(facts), { status: 'rejected', errorCode: 'NO_VIDEO', errorMessage: 'No picture.' })
})

t.test('a failed transcode fails the video; a failed second generation leaves a ready one alone', async (t) => {
  const failed = fact('TranscodeFailed', { generation: 1, code: 'TRUNCATED' })
  t.match(video([...upload, ...transcode, failed]), { status: 'failed', errorCode: 'TRUNCATED' })
  const again = [fact('TranscodePlanned', { generation: 2 }), fact('TranscodeFailed', { generation: 2 })]
  t.match(video([...upload, ...transcode, complete, ...again]), { status: 'ready', errorCode: null })
})

t.test('the pointer is the newest revision of the generation that was selected last', async (t) => {
  const second = fact('PlaylistPublished', { generation: 2, revision: 1, masterKey: 'v/x/g2/r1/master.m3u8' })
  const begun = [...upload, ...transcode, growing]
  t.match(video(begun), { playbackGeneration: 1, playbackRevision: 1, masterKey: 'v/x/g1/r1/master.m3u8' })
  t.match(video([...begun, selected, complete]), { playbackRevision: 2, masterKey: 'v/x/g1/r2/master.m3u8' })
  t.match(video([...begun, selected, complete, second]), { playbackGeneration: 1 }, 'published is not selected')
  const switched = [...begun, selected, complete, second, fact('GenerationSelected', { generation: 2 })]
  t.match(video(switched), { playbackGeneration: 2, playbackRevision: 1, masterKey: 'v/x/g2/r1/master.m3u8' })
})

t.test('a late playlist never takes the place of a newer one', async (t) => {
  t.match(video([...upload, ...transcode, complete, growing]), { playbackRevision: 2, ready: true, status: 'ready' })
})

t.test('progress counts every segment of the picture once, in whatever order chunks finish', async (t) => {
  const { renditions } = fact('SegmentsTranscoded').data
  const ticks = renditions[0]?.segments.reduce((sum, { durationTicks }) => sum + durationTicks, 0) ?? 0
  const count = renditions[0]?.segments.length ?? 0
  const later = fact('SegmentsTranscoded', { generation: 1, track: 'video', firstIndex: 10 })
  const sound = fact('SegmentsTranscoded', { generation: 1, track: 'audio-0', firstIndex: 0 })
  const facts = [...upload, ...transcode, later, sound, later, transcode[3] as VideoEvent]
  t.equal(video(facts)?.finishedTicks, 2 * ticks)
  t.same(video(facts)?.finishedSegments, [
    [0, count],
    [10, 10 + count],
  ])
})

t.test('details change to a higher revision only', async (t) => {
  const second = fact('VideoDetailsChanged', { title: 'Second', description: null, revision: 2 })
  const third = fact('VideoDetailsChanged', { title: 'Third', description: null, revision: 3 })
  t.match(video([...upload, second, third, second]), { title: 'Third', revision: 3 })
  t.equal(video([...upload, second])?.description, video(upload)?.description, 'null is unchanged')
})

t.test('a deleted video stays deleted and forgets what people wrote', async (t) => {
  const facts = [...upload, fact('VideoDeleted'), ...transcode, growing, complete, selected]
  t.match(video(facts), { status: 'deleted', title: '', playable: false, masterKey: null, metadata: null })
  t.match(uploadOf(facts), { status: 'aborted', code: 'VIDEO_DELETED' })
})

t.test('parts: the last one wins while the upload is open', async (t) => {
  const facts = [...upload, fact('PartUploaded', { partNumber: 2, etag: 'newer' }), fact('UploadCompleted')]
  const late = [...facts, fact('PartUploaded', { partNumber: 2, etag: 'late' })]
  const etagOf = (all: readonly VideoEvent[]) => rowsOf<UploadPartRow>(tables(all), 'uploadParts')[1]?.etag
  t.equal(etagOf(facts), 'newer')
  t.equal(etagOf(late), 'newer')
})

t.test('parts: a rejected one is wanted again, unless a newer report came before the rejection', async (t) => {
  const { etag, checksum } = fact('PartUploaded').data
  const rejected = fact('PartRejected', { partNumber: 2, etag, checksum, code: 'PART_MISSING' })
  const codesOf = (facts: readonly VideoEvent[]) =>
    rowsOf<UploadPartRow>(tables(facts), 'uploadParts').map(({ code }) => code)
  t.same(codesOf([...upload, rejected]), [null, 'PART_MISSING'])
  t.match(uploadOf([...upload, rejected]), { status: 'open', rejections: 1 })
  t.same(codesOf([...upload, rejected, fact('PartUploaded', { partNumber: 2 })]), [null, null])
  t.same(codesOf([...upload, fact('PartUploaded', { partNumber: 2, etag: 'newer' }), rejected]), [null, null])
  t.equal(tables([fact('PartRejected')]).get('uploadParts'), undefined, 'of an upload that nobody began')
})

t.test('an outcome says where the answer to a claim is', async (t) => {
  const refused = fact('ClaimRefused', { causeId: 'refused-claim', code: 'UPLOAD_OPEN', detail: 'Not yet.' })
  const outcomes = rowsOf<OutcomeRow>(tables([...upload, refused]), 'outcomes')
  t.match(outcomes, [
    { claimId: 'claim-0', code: null, topic: videoEvents.name, partition: 0, recordOffset: 0 },
    { claimId: 'refused-claim', code: 'UPLOAD_OPEN', detail: 'Not yet.', recordOffset: 3 },
  ])
  t.equal(outcomes.length, 2, 'none for admitted parts')
})

const STORY: readonly VideoEvent[] = [
  ...upload,
  fact('PartRejected', { partNumber: 2 }),
  fact('PartUploaded', { partNumber: 2, etag: 'again' }),
  fact('UploadSealed'),
  fact('UploadAbortRequested'),
  ...transcode,
  growing,
  selected,
  fact('ChunkTranscoded'),
  fact('ChunkFailed'),
  fact('RenditionTranscoded', { generation: 1 }),
  complete,
  fact('ThumbnailsExtracted', { generation: 1 }),
  fact('VideoDetailsChanged', { revision: 2 }),
  fact('ClaimRefused', { causeId: 'refused-claim' }),
  fact('VideoDeleted'),
]
const ENDINGS: readonly (readonly VideoEvent[])[] = [
  [...upload, fact('UploadAborted')],
  [...upload, transcode[0] as VideoEvent, fact('SourceRejected')],
  [...upload, ...transcode, fact('TranscodeFailed', { generation: 1 })],
]

/** The columns that say what is, not when it was written. */
const meaning = (facts: ReturnType<typeof recorded>) => {
  const all = tablesAfter(videoCatalogue, facts)
  return Object.keys(videoCatalogue.tables).map((table) =>
    rowsOf(all, table).map(({ version: _written, updatedAt: _at, ...row }) => row),
  )
}

/** A record that comes again has the same id and cause, at a later offset. */
const again = (event: ReturnType<typeof recorded>[number], offset: number) => ({ ...event, offset })

for (const story of [STORY, STORY.slice(0, -1), ...ENDINGS]) {
  const facts = recorded(story)
  for (const [index, event] of facts.entries()) {
    t.test(`${event.type} of a story that ends with ${story.at(-1)?.type} may come twice and late`, async (t) => {
      const doubled = [...facts.slice(0, index + 1), again(event, index + 0.5), ...facts.slice(index + 1)]
      t.same(meaning(doubled), meaning(facts), 'doubled')
      t.same(meaning([...facts, again(event, facts.length)]), meaning(facts), 'delayed past its successors')
    })
  }
}

t.test('every fact is in a story', async (t) => {
  const told = new Set([...STORY, ...ENDINGS.flat()].map(({ type }) => type))
  t.same(
    Object.keys(videoEvents.events).filter((type) => !told.has(type as VideoEvent['type'])),
    [],
  )
})
