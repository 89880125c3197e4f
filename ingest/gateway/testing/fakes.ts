import { setTimeout as sleep } from 'node:timers/promises'
import { UpstreamError } from '../../../platform/errors.ts'
import type { VideoDetails } from '../../../schemas/generated.ts'
import type { MultipartRef } from '../../../storage/multipart.ts'
import type { PartToSign } from '../../../storage/presign.ts'
import { CLAIM_DOUBTFUL, type Claim, type ClaimProducer, SEND_QUEUE_FULL } from '../../claim-producer.ts'
import type { StoredPart } from '../../part-claim.ts'
import type { ClaimOutcome, PartsSum, RecordedUpload, RecordedVideo, UploadReads } from '../upload-reads.ts'
import type { UploadStore } from '../upload-store.ts'

export type SentClaim = Claim & { readonly videoId: string; readonly id: string }

/**
 * A pipeline in memory: what is claimed is "admitted" at once and shows in the reads, first UploadStarted wins. Faults
 * and delays are switched on by the fields.
 */
export interface FakePipeline {
  readonly reads: UploadReads
  readonly claims: ClaimProducer
  readonly store: UploadStore
  readonly sent: SentClaim[]
  readonly uploads: Map<string, RecordedUpload>
  readonly videos: Map<string, RecordedVideo>
  /** Recorded parts by video and number; what a test takes out was rejected. */
  readonly parts: Map<string, Map<number, StoredPart>>
  /** Open multipart uploads by id. */
  readonly multiparts: Map<string, MultipartRef>
  readonly fault: {
    kafka?: 'away' | 'full' | 'refuses-to-write'
    s3?: 'away'
    database?: 'away'
    /** Claims are appended, but nobody folds them. */
    pipeline?: 'stopped'
    /** admit-events refuses the next claim with this code. */
    refuse?: string
    /** Runs between the multipart and the claim of a create: somebody else may be faster. */
    beforeClaim?: () => Promise<void>
  }
}

export const fakePipeline = (bucket = 'media'): FakePipeline => {
  const sent: SentClaim[] = []
  const uploads = new Map<string, RecordedUpload>()
  const videos = new Map<string, RecordedVideo>()
  const parts = new Map<string, Map<number, StoredPart>>()
  const multiparts = new Map<string, MultipartRef>()
  const outcomes = new Map<string, ClaimOutcome>()
  const fault: FakePipeline['fault'] = {}
  let made = 0

  const away = (what: string, code: string) => new UpstreamError(code, `${what} is away.`)
  const reading = <T>(value: T): Promise<T> =>
    fault.database === 'away' ? Promise.reject(away('The database', 'DATABASE_UNAVAILABLE')) : Promise.resolve(value)

  const waitForOutcome = async (claimId: string, timeoutMs: number): Promise<ClaimOutcome | null> => {
    for (const deadlineMs = performance.now() + timeoutMs; ; await sleep(1)) {
      const outcome = await reading(outcomes.get(claimId) ?? null)
      if (outcome !== null || performance.now() > deadlineMs) return outcome
    }
  }

  const fold = (claim: SentClaim): void => {
    if (fault.pipeline === 'stopped') return
    if (fault.refuse !== undefined) {
      outcomes.set(claim.id, { code: fault.refuse, detail: 'Refused.' })
      return
    }
    if (claim.type === 'UploadStarted' && uploads.has(claim.videoId)) {
      outcomes.set(claim.id, { code: 'UPLOAD_EXISTS', detail: 'There is one already.' })
      return
    }
    outcomes.set(claim.id, { code: null, detail: null })
    admitted(claim)
  }

  const admitted = ({ type, videoId, data }: SentClaim): void => {
    const upload = uploads.get(videoId)
    if (type === 'UploadStarted') {
      const { details, ...started } = data
      uploads.set(videoId, { ...started, videoId, status: 'open', code: null, detail: null, rejections: 0 })
      parts.set(videoId, new Map())
      if (details !== null) videos.set(videoId, videoOf(started.authorId, details))
    } else if (type === 'PartUploaded') {
      const { checksum: checksumSha256, ...part } = data
      parts.get(videoId)?.set(part.partNumber, { ...part, checksumSha256 })
    } else if (type === 'UploadSealed' && upload?.partCount === null) {
      uploads.set(videoId, { ...upload, ...data })
    }
  }

  const partsOf = (videoId: string): StoredPart[] =>
    [...(parts.get(videoId)?.values() ?? [])].sort((a, b) => a.partNumber - b.partNumber)

  const sumOf = (videoId: string): PartsSum => {
    const recorded = partsOf(videoId)
    return { parts: recorded.length, bytes: recorded.reduce((sum, part) => sum + part.sizeBytes, 0) }
  }

  return {
    sent,
    uploads,
    videos,
    parts,
    multiparts,
    fault,
    reads: {
      findParts: (videoId, after, limit) =>
        reading(
          partsOf(videoId)
            .filter(({ partNumber }) => partNumber > after)
            .slice(0, limit),
        ),
      findPartsAmong: (videoId, partNumbers) =>
        reading(partsOf(videoId).filter(({ partNumber }) => partNumbers.includes(partNumber))),
      sumParts: (videoId) => reading(sumOf(videoId)),
      openUploads(authorId) {
        const open = [...uploads.values()].filter((upload) => upload.authorId === authorId && upload.status === 'open')
        const bytes = open.reduce((sum, upload) => sum + (upload.sizeBytes ?? sumOf(upload.videoId).bytes), 0)
        return reading({ uploads: open.length, bytes })
      },
      findUpload: (videoId) => reading(uploads.get(videoId) ?? null),
      findVideo: (videoId) => reading(videos.get(videoId) ?? null),
      waitForOutcome,
    },
    claims: {
      async claim(type, videoId, data, { id }) {
        await fault.beforeClaim?.()
        if (fault.kafka === 'away') throw away('Kafka', CLAIM_DOUBTFUL)
        if (fault.kafka === 'full') throw away('Kafka', SEND_QUEUE_FULL)
        if (fault.kafka === 'refuses-to-write') throw away('Kafka', 'KAFKA_UNAUTHORIZED')
        const claim = { type, videoId, data, id } as unknown as SentClaim
        sent.push(claim)
        fold(claim)
        return { claimId: id }
      },
    },
    store: {
      async begin({ videoId }) {
        if (fault.s3 === 'away') throw away('S3', 'S3_UNAVAILABLE')
        const key = `v/${videoId}/source`
        made += 1
        const ref = { bucket, key, uploadId: `s3-upload-${made}` }
        multiparts.set(ref.uploadId, ref)
        return ref
      },
      async abort({ uploadId }) {
        multiparts.delete(uploadId)
      },
      async signPart(ref, part: PartToSign, expiresInSeconds) {
        const url = `https://s3.test/${ref.key}?partNumber=${part.partNumber}&uploadId=${ref.uploadId}`
        const expiresAtMs = Date.now() + expiresInSeconds * 1000
        return { url, headers: { 'x-amz-checksum-sha256': part.checksumSha256 }, expiresAtMs }
      },
    },
  }
}

export const videoOf = (authorId: string, details: VideoDetails): RecordedVideo => {
  const { fileName: _fileName, ...kept } = details
  return { authorId, revision: 1, status: 'uploading', details: kept }
}
