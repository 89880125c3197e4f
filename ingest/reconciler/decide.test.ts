import t from 'tap'
import type { StoredPart as ListedPart } from '../../storage/multipart.ts'
import { MiB } from '../../storage/part-size.ts'
import {
  decideMultipart,
  decideObjects,
  decideParts,
  decidePlaylists,
  type Finding,
  generationsToSweep,
  type OpenUpload,
  type RecordedUpload,
  type RecordedVideo,
} from './decide.ts'

const HOUR_MS = 3_600_000
const patience = { graceMs: 24 * HOUR_MS, retentionMs: 7 * 24 * HOUR_MS, playlistsForMs: 7 * 24 * HOUR_MS }
const KEY = 'v/video/source'
const kindOf = (finding: Finding | null): string =>
  finding === null ? 'kept' : finding.kind === 'left' ? `left: ${finding.why}` : finding.kind

const upload = (status: RecordedUpload['status'], s3UploadId = 'mine', updatedAtMs = 0): RecordedVideo => ({
  status: 'uploading',
  updatedAtMs,
  upload: { status, s3UploadId, updatedAtMs },
  generations: [],
})
const imported: RecordedVideo = { status: 'ready', updatedAtMs: 0, upload: null, generations: [] }

const OLD = 25 * HOUR_MS
const FOLDED = true
const BEHIND = false
const multiparts: readonly (readonly [string, RecordedVideo | null, number | null, boolean, string])[] = [
  ['of the open upload that names it, however old', upload('open'), 999 * HOUR_MS, FOLDED, 'left: is an open upload'],
  ['that lost against another create', upload('open', 'winner'), OLD, FOLDED, 'abort-multipart'],
  ['that lost, though the read model is behind', upload('open', 'winner'), OLD, BEHIND, 'abort-multipart'],
  ['of an upload that was aborted', upload('aborted'), OLD, BEHIND, 'abort-multipart'],
  ['of an upload that is complete', upload('completed'), OLD, BEHIND, 'abort-multipart'],
  ['of a video that was imported', imported, OLD, FOLDED, 'abort-multipart'],
  ['that nothing names', null, OLD, FOLDED, 'abort-multipart'],
  ['that is exactly as old as the grace period', null, 24 * HOUR_MS, FOLDED, 'abort-multipart'],
  ['that nothing names yet', null, 24 * HOUR_MS - 1, FOLDED, 'left: is younger than the grace period'],
  [
    'that a log may name which nobody has folded',
    null,
    OLD,
    BEHIND,
    'left: the read model is behind the log, which may name it',
  ],
  ['of an aborted upload a moment ago', upload('aborted'), 0, FOLDED, 'left: is younger than the grace period'],
  ['of unknown age', null, null, FOLDED, 'left: S3 does not say how old it is'],
]
for (const [what, video, ageMs, isFolded, expected] of multiparts) {
  t.test(`a multipart ${what}: ${expected}`, async (t) => {
    t.equal(kindOf(decideMultipart({ key: KEY, s3UploadId: 'mine', ageMs }, video, isFolded, patience)), expected)
  })
}

t.test('a multipart that is not of a source is not ours to judge', async (t) => {
  for (const key of ['v/video/g1/video/720p/init.mp4', 'v/source', 'backup/v/video/source', 'v/a/b/source']) {
    const found = decideMultipart({ key, s3UploadId: 'x', ageMs: OLD }, null, FOLDED, patience)
    t.equal(kindOf(found), 'left: is not the multipart of a source', key)
  }
})

const open: OpenUpload = {
  videoId: 'video',
  bucket: 'media',
  objectKey: KEY,
  s3UploadId: 'mine',
  partSizeBytes: 8 * MiB,
  partCount: 3,
  sizeBytes: 20 * MiB,
  rejections: 0,
}
const stored = (partNumber: number, change: Partial<ListedPart> = {}): ListedPart => ({
  partNumber,
  sizeBytes: partNumber === 3 ? 4 * MiB : 8 * MiB,
  etag: `etag-${partNumber}`,
  checksumSha256: `sum-${partNumber}`,
  ...change,
})
const ofParts = (recorded: readonly number[], listed: readonly ListedPart[], change: Partial<OpenUpload> = {}) =>
  decideParts({ ...open, ...change }, new Set(recorded), listed)

t.test('parts that are stored and not reported are reported', async (t) => {
  t.match(ofParts([2], [stored(1), stored(2), stored(3)]), [
    { kind: 'report-part', part: { partNumber: 1, etag: 'etag-1', checksumSha256: 'sum-1' } },
    { kind: 'report-part', part: { partNumber: 3, sizeBytes: 4 * MiB } },
  ])
  t.same(ofParts([1, 2, 3], [stored(1), stored(2), stored(3)]), [])
})

t.test('a part that S3 lists without its checksum, or that breaks the plan, is left to its client', async (t) => {
  t.same(ofParts([], [stored(1, { checksumSha256: null })]).map(kindOf), [
    'left: S3 lists no checksum, its client reports it',
  ])
  t.same(ofParts([], [stored(3, { sizeBytes: 8 * MiB })]).map(kindOf), [
    'left: has another length than the plan gives it',
  ])
  t.same(ofParts([], [stored(4), stored(0), stored(10_001)]), [], 'there is no such part')
})

t.test('of a stream every part up to its length may come', async (t) => {
  const stream = { partCount: null, sizeBytes: null }
  t.same(ofParts([], [stored(7), stored(8, { sizeBytes: 5 })], stream).map(kindOf), ['report-part', 'report-part'])
  t.same(ofParts([], [stored(7, { sizeBytes: 9 * MiB })], stream).map(kindOf), [
    'left: has another length than the plan gives it',
  ])
})

const NOW = 1_000 * HOUR_MS
const deleted = (agoMs: number): RecordedVideo => ({
  ...upload('completed'),
  status: 'deleted',
  updatedAtMs: NOW - agoMs,
})
const objects: readonly (readonly [string, RecordedVideo | null, string])[] = [
  ['an open upload', upload('open'), 'kept'],
  ['a complete upload', upload('completed'), 'kept'],
  ['an import', imported, 'kept'],
  ['a video that was deleted long ago', deleted(8 * 24 * HOUR_MS), 'delete-objects'],
  ['a video that was deleted not long ago', deleted(6 * 24 * HOUR_MS), 'left: its video was deleted not long ago'],
  ['an upload that was aborted', upload('aborted', 'mine', NOW - OLD), 'delete-objects'],
  [
    'an upload that was aborted not long ago',
    upload('aborted', 'mine', NOW - HOUR_MS),
    'left: its upload was aborted not long ago',
  ],
  ['a video that nothing is recorded of', null, 'left: nothing is recorded of this video'],
]
for (const [what, video, expected] of objects) {
  t.test(`the objects of ${what}: ${expected}`, async (t) => {
    t.equal(kindOf(decideObjects('video', video, NOW, patience)), expected)
  })
}

const published = (quietMs: number, ...revisions: readonly number[]): RecordedVideo => ({
  ...imported,
  updatedAtMs: NOW - quietMs,
  generations: revisions.map((revision, i) => ({ generation: i + 1, revision })),
})

t.test('playlists are looked at when a video has been quiet for a while, and not for ever', async (t) => {
  const looked = (video: RecordedVideo | null) =>
    generationsToSweep(video, NOW, patience).map(({ generation }) => generation)
  t.same(looked(null), [])
  t.same(looked(published(24 * HOUR_MS - 1, 5)), [], 'it may still grow, and its readers may be behind')
  t.same(looked(published(24 * HOUR_MS, 5, 1, 2)), [1, 3], 'one that has a single revision has no older ones')
  t.same(looked(published(8 * 24 * HOUR_MS, 5)), [1])
  t.same(looked(published(8 * 24 * HOUR_MS + 1, 5)), [])
})

t.test('of the playlists of an encode, those of older revisions are superseded', async (t) => {
  const keys = ['r1/master.m3u8', 'r10/master.m3u8', 'r2/video-720p.m3u8', 'r9/master.m3u8', 'r11/master.m3u8']
  const listed = keys.map((key) => `v/video/g2/${key}`)
  const found = decidePlaylists({ generation: 2, revision: 10 }, listed)
  t.match(found, { kind: 'delete-playlists', keys: [listed[0], listed[2], listed[3]] }, 'r11 is being published')
  t.equal(decidePlaylists({ generation: 2, revision: 1 }, listed), null)
  const others = ['v/video/g2/roundabout/720p/init.mp4', 'v/video/g2/r1/00000.m4s', 'v/video/g2/a1/r1/master.m3u8']
  t.equal(decidePlaylists({ generation: 2, revision: 10 }, others), null, 'nothing but playlists of revisions')
})
