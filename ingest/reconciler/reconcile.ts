import type { Clock } from '../../platform/clock.ts'
import { describeError } from '../../platform/errors.ts'
import { deleteKeys, deleteObjectsBelow, listFolders, listKeys } from '../../storage/list-objects.ts'
import { abortMultipart, listMultipartUploads, listParts } from '../../storage/multipart.ts'
import { VIDEOS_PREFIX, videoIdOfSource } from '../../storage/object-keys.ts'
import type { S3Client } from '../../storage/s3-client.ts'
import { hasCode } from '../../storage/s3-errors.ts'
import type { ClaimProducer } from '../claim-producer.ts'
import { partClaim } from '../part-claim.ts'
import {
  type Action,
  decideMultipart,
  decideObjects,
  decideParts,
  decidePlaylists,
  type Finding,
  generationsToSweep,
  type ListedMultipart,
  type OpenUpload,
  type Patience,
  type RecordedGeneration,
  type RecordedVideo,
} from './decide.ts'
import type { LogHorizon } from './log-horizon.ts'
import type { ReconcileReads } from './reconcile-reads.ts'
import { measureAges } from './s3-ages.ts'

/**
 * The reconciler: S3 against the log. Processes die between two systems; what that leaves in S3 costs money for ever,
 * and parts that were stored and never reported are sent again for nothing. This finds and mends both:
 *
 *     multiparts   that no open upload names          are aborted
 *     parts        that are stored and not reported    become claims of PartUploaded
 *     objects      of aborted uploads and of deleted videos are deleted
 *     playlists    that newer ones have taken the place of are deleted
 *
 * It keeps nothing and owns nothing. Everything it does is without effect when done again, a claim is the same claim
 * whoever makes it, and what it looks at only ever grows more certain: so it may run twice, at several places at once, be
 * killed anywhere, and start from the beginning. The decisions are in decide.ts, the argument for their safety in
 * docs/adr/0018. This file only walks: page by page, so that its memory does not grow with the bucket.
 */
export interface ReconcileWorld {
  readonly s3: S3Client
  readonly bucket: string
  readonly reads: ReconcileReads
  readonly horizon: LogHorizon
  readonly claims: ClaimProducer
  readonly clock: Clock
}

export interface ReconcileOptions extends Patience {
  /** Finds and says everything, and does nothing but to make and abort its own probe of S3's time (s3-ages.ts). */
  readonly dryRun: boolean
  /** Ends the run between two actions, and the request that is under way. Default: never. */
  readonly signal?: AbortSignal
  /** Told of everything that was found, after it was done. */
  readonly onFound?: (found: Found) => void
  /** Told what is being looked at. */
  readonly onProgress?: (progress: Progress) => void
}

/** What could not be looked at, and so was not judged. */
export interface Unseen {
  readonly kind: 'unseen'
  readonly what: string
  readonly why: string
}

export interface Found {
  readonly finding: Finding | Unseen
  /** `planned` in a dry run. */
  readonly outcome: 'done' | 'planned' | 'left' | 'failed'
  /** Of what failed: code and sentence. */
  readonly error: string | null
}

export interface Progress {
  readonly stage: 'multiparts' | 'parts' | 'objects'
  /** Looked at so far. */
  readonly seen: number
}

export interface ReconcileReport {
  readonly multiparts: number
  readonly uploads: number
  readonly videos: number
  readonly done: number
  readonly planned: number
  readonly left: number
  readonly failed: number
  /** Everything was looked at. */
  readonly complete: boolean
}

/**
 * What failed, and what could not be looked at, is looked at again in the next run. Neither keeps this one from the rest:
 * an upload that S3 never lists must not be the end of all cleaning up.
 */
export const reconcile = async (world: ReconcileWorld, options: ReconcileOptions): Promise<ReconcileReport> => {
  const seen = { multiparts: 0, uploads: 0, videos: 0 }
  const counts = { done: 0, planned: 0, left: 0, failed: 0 }
  const signal = options.signal ?? new AbortController().signal
  let complete = true
  const walks = { multiparts, parts, objects }
  try {
    for (const [what, walk] of Object.entries(walks)) {
      for await (const sight of toTheEnd(what, walk(world, options, signal, seen), signal)) {
        signal.throwIfAborted()
        const found = await settle(world, sight, options, signal)
        counts[found.outcome] += 1
        if (found.finding.kind === 'unseen') complete = false
        options.onFound?.(found)
      }
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
  return { ...seen, ...counts, complete: complete && !signal.aborted }
}

/** What a walk comes by: something to judge, or something that it could not see. */
type Sight = Finding | Obstacle

interface Obstacle {
  readonly finding: Unseen
  readonly error: unknown
}

const obstacle = (what: string, error: unknown): Obstacle => ({
  finding: { kind: 'unseen', what, why: 'could not be looked at' },
  error,
})

/** The walk, and at its end what ended it too early. */
async function* toTheEnd(what: string, walk: AsyncIterable<Sight>, signal: AbortSignal): AsyncGenerator<Sight> {
  try {
    yield* walk
  } catch (error) {
    if (signal.aborted) throw error
    yield obstacle(what, error)
  }
}

type Seen = { multiparts: number; uploads: number; videos: number }

const settle = async (
  world: ReconcileWorld,
  sight: Sight,
  { dryRun }: ReconcileOptions,
  signal: AbortSignal,
): Promise<Found> => {
  if ('error' in sight) return { finding: sight.finding, outcome: 'failed', error: describeError(sight.error) }
  const finding = sight
  if (finding.kind === 'left') return { finding, outcome: 'left', error: null }
  if (dryRun) return { finding, outcome: 'planned', error: null }
  try {
    await carryOut(world, finding, signal)
    return { finding, outcome: 'done', error: null }
  } catch (error) {
    return { finding, outcome: 'failed', error: describeError(error) }
  }
}

const carryOut = async ({ s3, bucket, claims }: ReconcileWorld, action: Action, signal: AbortSignal): Promise<void> => {
  switch (action.kind) {
    case 'abort-multipart':
      return abortMultipart(s3, { bucket, key: action.key, uploadId: action.s3UploadId }, { signal })
    case 'report-part': {
      const { id, data } = partClaim(action.upload, action.part)
      await claims.claim('PartUploaded', action.upload.videoId, data, { id })
      return
    }
    case 'delete-objects':
      await deleteObjectsBelow(s3, { bucket, prefix: action.prefix }, { signal })
      return
    case 'delete-playlists':
      return deleteKeys(s3, bucket, action.keys, { signal })
  }
}

/** Multiparts that are judged in one go: the log is asked once for each such batch. */
const BATCH = 1_000
/** So many uploads on end are not to blame themselves: somebody is away, and would be waited for once for each. */
const MAX_FAILED_IN_A_ROW = 10
/** How long the pipeline may take to pass what was claimed before a list was made. */
const HORIZON_MS = 30_000

async function* multiparts(
  world: ReconcileWorld,
  options: ReconcileOptions,
  signal: AbortSignal,
  seen: Seen,
): AsyncGenerator<Finding> {
  const { s3, bucket } = world
  const ageOf = await measureAges(s3, bucket, { signal, dryRun: options.dryRun })
  for await (const batch of batched(listMultipartUploads(s3, { bucket, prefix: VIDEOS_PREFIX }, { signal }))) {
    seen.multiparts += batch.length
    options.onProgress?.({ stage: 'multiparts', seen: seen.multiparts })
    const listed = batch.map(({ key, uploadId, initiatedAtMs }) => ({
      key,
      s3UploadId: uploadId,
      ageMs: ageOf(initiatedAtMs),
    }))
    yield* judged(world, listed, options, signal)
  }
}

/** The horizon is asked for only where the absence of a fact would decide, and BEFORE the facts are read. */
async function* judged(
  { reads, horizon }: ReconcileWorld,
  listed: readonly ListedMultipart[],
  options: ReconcileOptions,
  signal: AbortSignal,
): AsyncGenerator<Finding> {
  const ids = [...new Set(listed.flatMap(({ key }) => videoIdOfSource(key) ?? []))]
  const videoOf = (videos: ReadonlyMap<string, RecordedVideo>, { key }: ListedMultipart) =>
    videos.get(videoIdOfSource(key) ?? '') ?? null
  let videos = await reads.videos(ids)
  let isFolded = false
  const decided = (multipart: ListedMultipart) =>
    decideMultipart(multipart, videoOf(videos, multipart), isFolded, options)
  const isUnknown = (multipart: ListedMultipart) =>
    videoOf(videos, multipart) === null && multipart.ageMs !== null && multipart.ageMs >= options.graceMs
  if (listed.some(isUnknown) && (await horizon.isReached(HORIZON_MS, signal))) {
    videos = await reads.videos(ids)
    isFolded = true
  }
  yield* listed.map(decided).filter((finding) => !isOrdinary(finding))
}

/** Most multiparts belong to uploads that are under way: nothing to say about them. */
const isOrdinary = (finding: Finding): boolean => finding.kind === 'left' && finding.why === 'is an open upload'

async function* parts(
  { s3, reads }: ReconcileWorld,
  options: ReconcileOptions,
  signal: AbortSignal,
  seen: Seen,
): AsyncGenerator<Sight> {
  const unreported = async (upload: OpenUpload): Promise<readonly Finding[]> =>
    decideParts(upload, await reads.partNumbers(upload.videoId), await partsInS3(s3, upload, signal))
  let failedInARow = 0
  for (let after = ''; ; ) {
    const uploads = await reads.openUploads(after, BATCH)
    for (const upload of uploads) {
      signal.throwIfAborted()
      try {
        const findings = await unreported(upload)
        failedInARow = 0
        yield* findings
        seen.uploads += 1
        options.onProgress?.({ stage: 'parts', seen: seen.uploads })
      } catch (error) {
        failedInARow += 1
        if (signal.aborted || failedInARow === MAX_FAILED_IN_A_ROW) throw error
        yield obstacle(`the parts of ${upload.objectKey}`, error)
      }
    }
    const last = uploads.at(-1)
    if (last === undefined || uploads.length < BATCH) return
    after = last.videoId
  }
}

/** finish-upload finds out that the multipart is gone, and says so; here it has no parts. */
const partsInS3 = async (s3: S3Client, { bucket, objectKey, s3UploadId }: OpenUpload, signal: AbortSignal) => {
  try {
    return await listParts(s3, { bucket, key: objectKey, uploadId: s3UploadId }, { signal })
  } catch (error) {
    if (hasCode(error, 'MULTIPART_NOT_FOUND', 'OBJECT_NOT_FOUND')) return []
    throw error
  }
}

async function* objects(
  world: ReconcileWorld,
  options: ReconcileOptions,
  signal: AbortSignal,
  seen: Seen,
): AsyncGenerator<Finding> {
  const { s3, bucket, reads, clock } = world
  for await (const ids of listFolders(s3, { bucket, prefix: VIDEOS_PREFIX }, { signal })) {
    const videos = await reads.videos(ids)
    for (const id of ids) {
      const video = videos.get(id) ?? null
      const finding = decideObjects(id, video, clock.now(), options)
      if (finding !== null) yield finding
      else
        for (const newest of generationsToSweep(video, clock.now(), options))
          yield* playlists(world, id, newest, signal)
    }
    seen.videos += ids.length
    options.onProgress?.({ stage: 'objects', seen: seen.videos })
  }
}

async function* playlists(
  { s3, bucket }: ReconcileWorld,
  videoId: string,
  newest: RecordedGeneration,
  signal: AbortSignal,
): AsyncGenerator<Finding> {
  // No track begins with this letter: `video`, `audio-0`.
  const prefix = `${VIDEOS_PREFIX}${videoId}/g${newest.generation}/r`
  for await (const keys of listKeys(s3, { bucket, prefix }, { signal })) {
    const finding = decidePlaylists(newest, keys)
    if (finding !== null) yield finding
  }
}

async function* batched<T>(items: AsyncIterable<T>): AsyncGenerator<readonly T[]> {
  let batch: T[] = []
  for await (const item of items) {
    batch.push(item)
    if (batch.length < BATCH) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}
