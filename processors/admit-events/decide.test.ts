import t from 'tap'
import { EXAMPLE_VIDEO_ID, examples } from '../../schemas/examples.ts'
import type { Actor } from '../../schemas/generated.ts'
import type { VideoClaim } from '../../schemas/topics.ts'
import { type AdmissionSettings, type Decision, decide } from './decide.ts'
import { evolve } from './evolve.ts'
import type { AdmittedVideo } from './generated.ts'
import { REFUSALS, type RefusalCode } from './refusals.ts'

const settings: AdmissionSettings = { mediaBucket: examples.UploadStarted.bucket, importSources: ['archive/incoming'] }
const owner = examples.VideoDeleted.actor
const stranger = { id: 'author-somebody-else', role: 'AUTHOR' } as const

const started: VideoClaim = { type: 'UploadStarted', data: examples.UploadStarted }
const part: VideoClaim = { type: 'PartUploaded', data: examples.PartUploaded }
const importedFrom = (bucket: string, objectKey: string): VideoClaim => ({
  type: 'UploadCompleted',
  data: {
    ...examples.UploadCompleted,
    bucket,
    objectKey,
    authorId: owner.id,
    details: examples.UploadStarted.details,
  },
})
const imported = importedFrom('archive', 'incoming/sarek.mp4')
const finished: VideoClaim = { type: 'UploadCompleted', data: examples.UploadCompleted }
const deleted: VideoClaim = { type: 'VideoDeleted', data: { actor: owner } }
const streamed: VideoClaim = {
  type: 'UploadStarted',
  data: { ...examples.UploadStarted, sizeBytes: null, partCount: null },
}
const sealed: VideoClaim = { type: 'UploadSealed', data: examples.UploadSealed }
const abort = (actor: Actor): VideoClaim => ({
  type: 'UploadAbortRequested',
  data: { actor, reason: 'Wrong file' },
})
const change = (data: Partial<typeof examples.VideoDetailsChanged>): VideoClaim => ({
  type: 'VideoDetailsChanged',
  data: { ...examples.VideoDetailsChanged, expectedRevision: null, revision: null, ...data },
})

type Fact = Parameters<typeof evolve>[1]
const given = (...facts: readonly Fact[]): AdmittedVideo | undefined =>
  facts.reduce<AdmittedVideo | undefined>(evolve, undefined)

const when = (video: AdmittedVideo | undefined, claim: VideoClaim, videoId = EXAMPLE_VIDEO_ID): Decision =>
  decide({ videoId, video, seen: false, producer: '/importer' }, claim, settings)

const refusalOf = (decision: Decision): RefusalCode | null => (decision.kind === 'refused' ? decision.code : null)

const admitted: readonly (readonly [sentence: string, video: AdmittedVideo | undefined, claim: VideoClaim])[] = [
  ['an upload of a new video', given(), started],
  ['an upload of unknown length', given(), streamed],
  ['a part of an open upload', given(started), part],
  ['the length of a stream', given(streamed), sealed],
  ['the wish of the owner to abort', given(started), abort(owner)],
  ['the wish of an administrator to abort', given(started), abort({ id: 'ops-1', role: 'ADMIN' })],
  ['an object from an allowed folder', given(), imported],
  ['the deletion of an upload', given(started), deleted],
  ['the deletion of an import', given(imported), deleted],
]
for (const [sentence, video, claim] of admitted) {
  t.test(`admits ${sentence}, as it was claimed`, async (t) => {
    t.strictSame(when(video, claim), { kind: 'admitted', fact: claim })
  })
}

const refused: readonly (readonly [RefusalCode, string, AdmittedVideo | undefined, VideoClaim])[] = [
  ['UNKNOWN_VIDEO', 'a part without an upload', given(), part],
  ['UNKNOWN_VIDEO', 'a length without an upload', given(), sealed],
  ['UNKNOWN_VIDEO', 'an abort without an upload', given(), abort(owner)],
  ['UNKNOWN_VIDEO', 'a change of nothing', given(), change({})],
  ['UNKNOWN_VIDEO', 'the deletion of nothing', given(), deleted],
  ['ALREADY_STARTED', 'a second upload of a video', given(started), started],
  ['ALREADY_STARTED', 'a second upload after the first is over', given(started, finished), started],
  ['ALREADY_IMPORTED', 'an upload of an imported video', given(imported), started],
  ['ALREADY_IMPORTED', 'a second import', given(imported), imported],
  ['UPLOAD_OPEN', 'a claim that an open upload is complete', given(started), imported],
  ['UPLOAD_OVER', 'a claim that a completed upload is complete', given(started, finished), imported],
  ['UPLOAD_OVER', 'a part after the end', given(started, finished), part],
  [
    'UPLOAD_OVER',
    'a part after an abort',
    given(started, { type: 'UploadAborted', data: examples.UploadAborted }),
    part,
  ],
  ['UPLOAD_OVER', 'an abort after the end', given(started, finished), abort(owner)],
  ['UPLOAD_OVER', 'a length after the end', given(started, finished), sealed],
  ['NOT_AN_UPLOAD', 'a part of an imported video', given(imported), part],
  ['NOT_AN_UPLOAD', 'an abort of an import', given(imported), abort(owner)],
  ['ALREADY_SEALED', 'a length that was known from the start', given(started), sealed],
  ['ALREADY_SEALED', 'a second length', given(streamed, sealed), sealed],
  ['NOT_OWNER', 'the abort of somebody else', given(started), abort(stranger)],
  ['NOT_OWNER', 'the change of somebody else', given(started), change({ actor: stranger })],
  ['NOT_OWNER', 'a deletion by somebody else', given(started), { type: 'VideoDeleted', data: { actor: stranger } }],
  [
    'REVISION_CONFLICT',
    'a change of an older revision',
    given(started, change({ revision: 2 })),
    change({ expectedRevision: 1 }),
  ],
  ['REVISION_CONFLICT', 'a change of a revision to come', given(started), change({ expectedRevision: 2 })],
  ['OBJECT_NOT_ALLOWED', 'an upload into another bucket', given(), startedWith({ bucket: 'archive' })],
  [
    'OBJECT_NOT_ALLOWED',
    'an upload to the key of another video',
    given(),
    startedWith({ objectKey: 'v/other/source' }),
  ],
  ['SOURCE_NOT_ALLOWED', 'an import from another bucket', given(), importedFrom('secrets', 'incoming/a.mp4')],
  ['SOURCE_NOT_ALLOWED', 'an import from another folder', given(), importedFrom('archive', 'incoming-of-others/a.mp4')],
  ['SOURCE_NOT_ALLOWED', 'an import that leaves its folder', given(), importedFrom('archive', 'incoming/../a.mp4')],
  ['VIDEO_DELETED', 'an upload of a deleted video', given(started, deleted), started],
  ['VIDEO_DELETED', 'a part of a deleted video', given(started, deleted), part],
  ['VIDEO_DELETED', 'an import of a deleted video', given(imported, deleted), imported],
  ['VIDEO_DELETED', 'a change of a deleted video', given(started, deleted), change({})],
  ['VIDEO_DELETED', 'a second deletion', given(started, deleted), deleted],
  ['INVALID_VALUE', 'a change of nothing at all', given(started), change({ title: null, tags: null })],
]
function startedWith(data: Partial<typeof examples.UploadStarted>): VideoClaim {
  return { type: 'UploadStarted', data: { ...examples.UploadStarted, ...data } }
}
for (const [code, sentence, video, claim] of refused) {
  t.test(`refuses ${sentence} with ${code}`, async (t) => t.equal(refusalOf(when(video, claim)), code))
}

t.test('every refusal of the closed list can happen', async (t) => {
  t.strictSame([...new Set(refused.map(([code]) => code))].sort(), Object.keys(REFUSALS).sort())
})

t.test('a claim that was answered before gives nothing, whatever became of the video', async (t) => {
  for (const video of [given(started), given(started, finished), given(started, deleted)]) {
    t.strictSame(decide({ videoId: EXAMPLE_VIDEO_ID, video, seen: true, producer: null }, part, settings), {
      kind: 'duplicate',
    })
  }
})

t.test('counts the revisions of the details from 1', async (t) => {
  const first = when(given(started), change({ expectedRevision: 1 }))
  t.match(first, { kind: 'admitted', fact: { data: { revision: 2, expectedRevision: 1 } } })
  const second = when(given(started, change({ revision: 2 })), change({ expectedRevision: null }))
  t.match(second, { kind: 'admitted', fact: { data: { revision: 3 } } })
})

t.test('says which revision it is', async (t) => {
  const decision = when(given(started), change({ expectedRevision: 7 }))
  t.match(decision, { detail: 'The details were changed meanwhile: expected revision 7, it is 1.' })
})

t.test('refuses an id that could not be a folder of object keys', async (t) => {
  for (const videoId of ['', '../up', 'a/b', 'a b', '.hidden', 'x'.repeat(65), 'ünï']) {
    t.equal(refusalOf(when(undefined, started, videoId)), 'INVALID_VALUE', videoId)
  }
})

t.test('takes objects from anywhere when it is told so, but never from the folder of another video', async (t) => {
  const anywhere = { ...settings, importSources: ['*'] }
  const from = (bucket: string, objectKey: string) =>
    refusalOf(
      decide(
        { videoId: 'mine', video: undefined, seen: false, producer: null },
        importedFrom(bucket, objectKey),
        anywhere,
      ),
    )
  t.equal(from('any', 'thing.mp4'), null)
  t.equal(from(settings.mediaBucket, 'v/mine/dropped.mp4'), null)
  t.equal(from(settings.mediaBucket, 'v/theirs/source'), 'SOURCE_NOT_ALLOWED')
  t.equal(from(settings.mediaBucket, '/v/theirs/source'), 'SOURCE_NOT_ALLOWED')
})

t.test('takes a whole bucket when it is named without a folder, and nothing when nothing is named', async (t) => {
  const from = (importSources: readonly string[]) =>
    refusalOf(
      decide({ videoId: 'mine', video: undefined, seen: false, producer: null }, imported, {
        ...settings,
        importSources,
      }),
    )
  t.equal(from(['archive']), null)
  t.equal(from(['archive/incoming/']), null)
  t.equal(from([]), 'SOURCE_NOT_ALLOWED')
})

t.test('a fact folded twice, or again after its successors, changes nothing', async (t) => {
  const facts = [streamed, part, sealed, change({ revision: 2 }), finished, abort(owner), deleted]
  const once = given(...facts)
  for (const late of facts) t.strictSame(given(...facts, late), once, late.type)
  t.equal(evolve(once, finished), once, 'not even a new value')
  const aborted = { type: 'UploadAborted', data: examples.UploadAborted } as const
  t.equal(given(started, finished, aborted)?.upload, 'COMPLETED')
  t.equal(given(started, aborted, finished)?.upload, 'ABORTED')
})

t.test('a place that is for one producer is closed to the others', async (t) => {
  const importSources = ['archive/incoming for /archive-importer', 'open']
  const from = (producer: string | null, bucket: string, objectKey: string) =>
    refusalOf(
      decide({ videoId: 'mine', video: undefined, seen: false, producer }, importedFrom(bucket, objectKey), {
        ...settings,
        importSources,
      }),
    )
  t.equal(from('/archive-importer', 'archive', 'incoming/a.mp4'), null)
  t.equal(from('/archive-importer', 'archive', 'other/a.mp4'), 'SOURCE_NOT_ALLOWED')
  for (const producer of ['/somebody-else', '/archive-importer/2', null]) {
    t.equal(from(producer, 'archive', 'incoming/a.mp4'), 'SOURCE_NOT_ALLOWED', String(producer))
    t.equal(from(producer, 'open', 'a.mp4'), null, String(producer))
  }
})
