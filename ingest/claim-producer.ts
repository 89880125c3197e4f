import type { EventOf, videoIntake } from '../schemas/topics.ts'

/** A claim: its event type and, per type, its data. */
export type Claim = EventOf<typeof videoIntake>
export type ClaimType = Claim['type']
export type ClaimData<Type extends ClaimType> = Extract<Claim, { readonly type: Type }>['data']

/**
 * The one way in which anybody before the door changes anything: the gateway, the reconciler and imports append a claim
 * to video-intake. Whether it becomes a fact is decided by admit-events.
 */
export interface ClaimProducer {
  /**
   * Resolves when every replica in sync has the claim. The claim's `ce_id` is `id`: the same id for the same wish, so
   * that a repetition is recognised.
   * @throws UpstreamError CLAIM_DOUBTFUL (retryable): it may or may not have been appended
   * @throws UpstreamError SEND_QUEUE_FULL (retryable): this call did not append it; an earlier one with the same id, whose
   *   caller has lost patience, may still
   * @throws any other error: it was certainly not appended
   */
  claim<Type extends ClaimType>(
    type: Type,
    videoId: string,
    data: ClaimData<Type>,
    options: { readonly id: string },
  ): Promise<{ readonly claimId: string }>
}

/** The code of the error after which nobody knows whether the claim is in the log. */
export const CLAIM_DOUBTFUL = 'CLAIM_DOUBTFUL'

/** The code of the error of a Kafka that is slow or away, with too much waiting for it. */
export const SEND_QUEUE_FULL = 'SEND_QUEUE_FULL'
