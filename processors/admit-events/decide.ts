import type { Actor, UploadCompleted, UploadStarted, VideoDetailsChanged } from '../../schemas/generated.ts'
import type { VideoClaim } from '../../schemas/topics.ts'
import { sourceKey } from '../../storage/object-keys.ts'
import type { AdmittedVideo } from './generated.ts'
import { isAllowedSource } from './import-sources.ts'
import { REFUSALS, type RefusalCode } from './refusals.ts'
import {
  changeProblem,
  importProblem,
  type Problem,
  partProblem,
  reasonProblem,
  sealProblem,
  unicodeProblem,
  uploadProblem,
  videoIdProblem,
} from './values.ts'

/**
 * The whole decision of admission: a claim and what is known of its video give a fact, a refusal, or nothing.
 *
 * The order of the questions is the order of the answers' usefulness: a claim that was answered before is not answered
 * again; then whether the video can take claims at all; then who asks; then what is asked, given where the video stands;
 * last whether the values hold. A claim that is admitted means "received": what an upload makes of a part or of the wish
 * to abort it is decided by finish-upload alone.
 *
 * Kinds are disjoint by the first admitted claim: what began as an upload is completed by its upload only, and what was
 * imported has none.
 */
export type Decision =
  | { readonly kind: 'duplicate' }
  | { readonly kind: 'admitted'; readonly fact: VideoClaim }
  | { readonly kind: 'refused'; readonly code: RefusalCode; readonly detail: string }

export interface Admission {
  readonly videoId: string
  /** What is known of the video; undefined before its first fact. */
  readonly video: AdmittedVideo | undefined
  /** Whether this very claim already ended in a fact or a refusal. */
  readonly seen: boolean
  /** Who claims, by the ce_source that he gave; null = he gave none. */
  readonly producer: string | null
}

export interface AdmissionSettings {
  readonly mediaBucket: string
  /** `bucket`, `bucket/folder` or `*`, for all or for one producer: see import-sources.ts. Empty = imports are refused. */
  readonly importSources: readonly string[]
}

export const decide = (admission: Admission, claim: VideoClaim, settings: AdmissionSettings): Decision => {
  const { videoId, video, seen, producer } = admission
  if (seen) return { kind: 'duplicate' }
  const badValue = videoIdProblem(videoId) ?? unicodeProblem(claim.data)
  if (badValue !== null) return refuse('INVALID_VALUE', badValue)
  if (video?.deleted) return refuse('VIDEO_DELETED')
  switch (claim.type) {
    case 'UploadStarted':
      return decideStart(videoId, video, claim.data, settings)
    case 'UploadCompleted':
      return decideImport({ videoId, video, producer }, claim.data, settings)
    case 'PartUploaded':
      return duringUpload(video, claim, (open) => partProblem(claim.data, open.partCount))
    case 'UploadSealed':
      if (video?.kind === 'UPLOAD' && video.upload === 'OPEN' && video.partCount !== null)
        return refuse('ALREADY_SEALED')
      return duringUpload(video, claim, (open) => sealProblem(claim.data, open.partSizeBytes ?? 0))
    case 'UploadAbortRequested':
      return byOwner(video, claim.data.actor, () => duringUpload(video, claim, () => reasonProblem(claim.data.reason)))
    case 'VideoDetailsChanged':
      return byOwner(video, claim.data.actor, (known) => decideChange(known, claim.data))
    case 'VideoDeleted':
      return byOwner(video, claim.data.actor, () => admit(claim))
  }
}

const decideStart = (
  videoId: string,
  video: AdmittedVideo | undefined,
  data: UploadStarted,
  { mediaBucket }: AdmissionSettings,
): Decision => {
  if (video !== undefined) return refuse(video.kind === 'UPLOAD' ? 'ALREADY_STARTED' : 'ALREADY_IMPORTED')
  if (data.bucket !== mediaBucket || data.objectKey !== sourceKey(videoId)) return refuse('OBJECT_NOT_ALLOWED')
  return admitIf(uploadProblem(data), { type: 'UploadStarted', data })
}

const decideImport = (
  { videoId, video, producer }: Omit<Admission, 'seen'>,
  data: UploadCompleted,
  settings: AdmissionSettings,
): Decision => {
  if (video?.kind === 'UPLOAD') return refuse(video.upload === 'OPEN' ? 'UPLOAD_OPEN' : 'UPLOAD_OVER')
  if (video !== undefined) return refuse('ALREADY_IMPORTED')
  if (!isAllowedSource(data, { videoId, producer }, settings)) return refuse('SOURCE_NOT_ALLOWED')
  return admitIf(importProblem(data), { type: 'UploadCompleted', data })
}

const duringUpload = (
  video: AdmittedVideo | undefined,
  claim: VideoClaim,
  problem: (open: AdmittedVideo) => Problem,
): Decision => {
  if (video === undefined) return refuse('UNKNOWN_VIDEO')
  if (video.kind === 'IMPORT') return refuse('NOT_AN_UPLOAD')
  if (video.upload !== 'OPEN') return refuse('UPLOAD_OVER')
  return admitIf(problem(video), claim)
}

const byOwner = (
  video: AdmittedVideo | undefined,
  actor: Actor,
  decision: (video: AdmittedVideo) => Decision,
): Decision => {
  if (video === undefined) return refuse('UNKNOWN_VIDEO')
  if (actor.role === 'AUTHOR' && actor.id !== video.ownerId) return refuse('NOT_OWNER')
  return decision(video)
}

const decideChange = (video: AdmittedVideo, data: VideoDetailsChanged): Decision => {
  const { expectedRevision } = data
  if (expectedRevision !== null && expectedRevision !== video.revision) {
    return refuse(
      'REVISION_CONFLICT',
      `The details were changed meanwhile: expected revision ${expectedRevision}, it is ${video.revision}.`,
    )
  }
  return admitIf(changeProblem(data), { type: 'VideoDetailsChanged', data: { ...data, revision: video.revision + 1 } })
}

const admitIf = (problem: Problem, fact: VideoClaim): Decision =>
  problem === null ? admit(fact) : refuse('INVALID_VALUE', problem)

const admit = (fact: VideoClaim): Decision => ({ kind: 'admitted', fact })

const refuse = (code: RefusalCode, detail: string = REFUSALS[code]): Decision => ({ kind: 'refused', code, detail })
