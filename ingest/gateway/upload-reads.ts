import type { VideoDetails } from '../../schemas/generated.ts'
import type { StoredPart } from '../part-claim.ts'

/**
 * What the gateway has to know before it lets somebody act: who owns what, and what state it is in. A port, read-only:
 * the truth is folded by video-catalogue, the gateway only looks (prisma-upload-reads.ts; testing/ has one in memory).
 *
 * Reads may be behind the log by as long as the projection needs. That is safe, because the gateway only claims: what
 * slips through here is refused by admit-events, which decides in the order of the log.
 *
 * Every method throws UpstreamError DATABASE_UNAVAILABLE (retryable) when the database is away.
 */
export interface UploadReads {
  findUpload(videoId: string): Promise<RecordedUpload | null>
  findVideo(videoId: string): Promise<RecordedVideo | null>
  /**
   * Recorded parts with a number above `after`, ascending, at most `limit`. A part that was rejected since, because S3
   * does not have what was reported, is not among them.
   */
  findParts(videoId: string, after: number, limit: number): Promise<readonly StoredPart[]>
  /** Those of these numbers that findParts lists, in any order. */
  findPartsAmong(videoId: string, partNumbers: readonly number[]): Promise<readonly StoredPart[]>
  /** Of the parts that findParts lists, how many there are and how long they are together. */
  sumParts(videoId: string): Promise<PartsSum>
  /** What the author has open; of an upload whose length is not known, what is stored of it. */
  openUploads(authorId: string): Promise<OpenUploads>
  /** How the claim ended; null when nothing is known after `timeoutMs`. Never for PartUploaded, which leaves none. */
  waitForOutcome(claimId: string, timeoutMs: number): Promise<ClaimOutcome | null>
}

export interface RecordedUpload {
  readonly videoId: string
  readonly authorId: string
  readonly status: 'open' | 'completed' | 'aborted'
  /** Why it was aborted. */
  readonly code: string | null
  readonly detail: string | null
  readonly s3UploadId: string
  readonly bucket: string
  readonly objectKey: string
  readonly contentType: string
  readonly partSizeBytes: number
  readonly partCount: number | null
  readonly sizeBytes: number | null
  readonly expiresAtMs: number
  /** Comparisons with S3 that found reported parts wrong: since then the same bytes may have to be reported anew. */
  readonly rejections: number
}

export interface PartsSum {
  readonly parts: number
  readonly bytes: number
}

export interface OpenUploads {
  readonly uploads: number
  readonly bytes: number
}

export interface RecordedVideo {
  readonly authorId: string
  /** Of the details, from 1. */
  readonly revision: number
  readonly status: string
  /** As they are now; the file's name is not kept in the read model. */
  readonly details: Omit<VideoDetails, 'fileName'>
}

export interface ClaimOutcome {
  /** Null when admitted, else the stable code of the refusal. */
  readonly code: string | null
  readonly detail: string | null
}
