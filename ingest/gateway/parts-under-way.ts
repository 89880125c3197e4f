import { LRUCache } from 'lru-cache'
import type { Clock } from '../../platform/clock.ts'
import type { StoredPart } from '../part-claim.ts'
import type { RecordedUpload } from './upload-reads.ts'

/**
 * What the read model does not know yet of parts: who was given a signature lately, and what was reported. By it two
 * clients of one upload learn of each other, so that they do not send the same parts side by side.
 *
 * A hint, nothing is decided by it. So it is kept in memory, bounded, and by each gateway for itself: where it forgot, or
 * another gateway was asked, a part is sent twice, which costs the line and harms nothing.
 */
export interface PartsUnderWay {
  /**
   * The caller wants to send it. False: somebody was told so less than `withinMs` ago, and may be at it. True: the caller
   * is that somebody now.
   */
  take(upload: RecordedUpload, partNumber: number, withinMs: number): boolean
  /** Its claim is written. */
  reported(upload: RecordedUpload, part: PartFacts): void
  /** With these bytes, and nothing was rejected since. */
  isReported(upload: RecordedUpload, part: PartFacts): boolean
}

type PartFacts = Pick<StoredPart, 'partNumber' | 'sizeBytes' | 'checksumSha256'>

export const isSamePart = (part: PartFacts, other: PartFacts): boolean =>
  part.partNumber === other.partNumber &&
  part.sizeBytes === other.sizeBytes &&
  part.checksumSha256 === other.checksumSha256

export const createPartsUnderWay = (clock: Clock): PartsUnderWay => {
  const takenAtMs = new LRUCache<string, number>({ max: MAX_PARTS_KEPT })
  const reports = new LRUCache<string, { readonly part: PartFacts; readonly rejections: number }>({
    max: MAX_PARTS_KEPT,
  })
  return {
    take(upload, partNumber, withinMs) {
      const key = keyOf(upload, partNumber)
      const now = clock.now()
      const takenBefore = takenAtMs.get(key)
      if (takenBefore !== undefined && now - takenBefore < withinMs) return false
      takenAtMs.set(key, now)
      return true
    },
    reported(upload, { partNumber, sizeBytes, checksumSha256 }) {
      const part = { partNumber, sizeBytes, checksumSha256 }
      reports.set(keyOf(upload, partNumber), { part, rejections: upload.rejections })
    },
    isReported(upload, part) {
      const report = reports.get(keyOf(upload, part.partNumber))
      return report !== undefined && report.rejections === upload.rejections && isSamePart(report.part, part)
    },
  }
}

const keyOf = ({ s3UploadId }: RecordedUpload, partNumber: number): string => `${partNumber} ${s3UploadId}`

/** Some 300 bytes each. Only the newest are of use: those that are on their way, or that the read model is behind by. */
const MAX_PARTS_KEPT = 20_000
