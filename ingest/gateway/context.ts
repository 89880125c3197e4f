import type { Clock } from '../../platform/clock.ts'
import type { Authenticator } from '../../platform/http/author-token.ts'
import type { SignInLimit } from '../../platform/http/client-policy.ts'
import type { Logger } from '../../platform/log.ts'
import { MiB } from '../../storage/part-size.ts'
import type { ClaimProducer } from '../claim-producer.ts'
import type { UploadHandles } from './upload-handle.ts'
import type { UploadReads } from './upload-reads.ts'
import type { UploadStore } from './upload-store.ts'

/** Everything that the gateway stands on. Made by a composition root, passed to every route. */
export interface GatewayContext {
  readonly reads: UploadReads
  readonly claims: ClaimProducer
  readonly store: UploadStore
  readonly authenticator: Authenticator
  readonly signIns: SignInLimit
  readonly handles: UploadHandles
  readonly limits: GatewayLimits
  readonly clock: Clock
  readonly log: Pick<Logger, 'warn'>
  /** Where people watch: an absolute URL. `origin` is the one that the request came to. */
  watchUrl(videoId: string, origin: string): string
}

export interface GatewayLimits {
  readonly maxUploadBytes: number
  /** Smallest part, bytes; grows with the file. */
  readonly partSizeBytes: number
  /** Part of an upload whose length nobody knows yet, bytes: 10,000 of them are the largest file that it can become. */
  readonly unsizedPartSizeBytes: number
  /** Uploads that one author may have open. */
  readonly maxOpenUploads: number
  /** Bytes that they may have together. */
  readonly maxOpenBytes: number
  /** How long an upload may take, milliseconds. */
  readonly uploadLifeMs: number
  /** How long a create waits for its row, milliseconds. */
  readonly outcomeTimeoutMs: number
  /** Life of a signed part URL, seconds. S3 checks it when the PUT begins, so it has to cover queueing, not sending. */
  readonly signatureLifeSeconds: number
  /** Requests that one author (or address) may make in a minute. */
  readonly requestsPerMinute: number
  /** Of those, creates. */
  readonly createsPerMinute: number
}

/** What a gateway keeps unless it is told otherwise; the first three have settings (gateway-options.ts). */
export const DEFAULT_LIMITS: Omit<GatewayLimits, 'maxUploadBytes' | 'partSizeBytes' | 'uploadLifeMs'> = {
  unsizedPartSizeBytes: 16 * MiB,
  maxOpenUploads: 1_000,
  maxOpenBytes: 20 * 1024 * 1024 * MiB,
  outcomeTimeoutMs: 10_000,
  signatureLifeSeconds: 15 * 60,
  requestsPerMinute: 12_000,
  createsPerMinute: 1_200,
}
