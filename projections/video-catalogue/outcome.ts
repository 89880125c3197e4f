import type { RecordedVideoEvent } from './video.ts'

/** Columns of `Outcome` in prisma/schema.prisma. */
export interface OutcomeRow {
  readonly claimId: string
  readonly videoId: string
  readonly topic: string
  readonly partition: number
  readonly recordOffset: number
  readonly code: string | null
  readonly detail: string | null
}

/**
 * How a claim ended: the first record that names it as its cause. Whoever claimed can wait for this row, and then for
 * every projection to pass its offset. Admitted parts are left out: there may be 10,000 of them, and nobody waits.
 */
export const evolveOutcome = (outcome: OutcomeRow | undefined, event: RecordedVideoEvent): OutcomeRow | undefined => {
  const claimId = claimAnsweredBy(event)
  if (outcome !== undefined || claimId === null) return outcome
  const { key: videoId, topic, partition, offset: recordOffset } = event
  const refused = event.type === 'ClaimRefused' ? event.data : undefined
  return {
    claimId,
    videoId,
    topic,
    partition,
    recordOffset,
    code: refused?.code ?? null,
    detail: refused?.detail ?? null,
  }
}

/** The claim that the record is the answer to, or null. */
export const claimAnsweredBy = (event: RecordedVideoEvent): string | null => {
  switch (event.type) {
    case 'ClaimRefused':
      return event.data.causeId
    case 'UploadStarted':
    case 'UploadSealed':
    case 'UploadAbortRequested':
    case 'VideoDetailsChanged':
    case 'VideoDeleted':
      return event.causeId
    case 'UploadCompleted':
      // Claimed only for imports, which name their author; else finish-upload says it, and its cause is no claim.
      return event.data.authorId === null ? null : event.causeId
    default:
      return null
  }
}
