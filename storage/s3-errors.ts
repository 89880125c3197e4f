import { S3ServiceException } from '@aws-sdk/client-s3'
import { BadInputError, type Facts, ReelstreamError, UpstreamError } from '../platform/errors.ts'

/**
 * Turns what the S3 client throws into the product's error family, in one place, because servers agree on little: the
 * same refusal comes as another name, with another status, or (HEAD has no body) as a bare number.
 *
 * | code | class | retryable | when |
 * |---|---|---|---|
 * | OBJECT_NOT_FOUND | BadInput | no | no object with this key |
 * | MULTIPART_NOT_FOUND | BadInput | no | the multipart upload was completed, aborted or never made |
 * | PRECONDITION_FAILED | BadInput | no | If-Match: other bytes; If-None-Match: the key exists |
 * | RANGE_NOT_SATISFIABLE | BadInput | no | the range begins behind the end |
 * | CHECKSUM_MISMATCH | BadInput | no | the bytes that arrived are not those of the checksum |
 * | PARTS_INVALID | BadInput | no | Complete named a part that is missing, replaced, out of order or too small |
 * | S3_NO_CREDENTIALS | Upstream | yes | no key is set, and nobody who could be asked has one now |
 * | BUCKET_NOT_FOUND, S3_ACCESS_DENIED, S3_NOT_IMPLEMENTED, S3_REFUSED | Upstream | no | the operator must act |
 * | S3_CONFLICT | Upstream | yes | another writer is at the same key right now |
 * | S3_ABORTED | Upstream | yes | our own signal ended the call |
 * | S3_UNAVAILABLE | Upstream | yes | 5xx, throttled, no connection, too slow; the SDK has tried four times already |
 */
export interface S3Action {
  /** What was being done, for the message: 'read the object'. Bucket and key go into the facts: people read messages. */
  readonly action: string
  readonly bucket: string
  readonly key?: string
  /** What the call could be ended by. */
  readonly signal?: AbortSignal | undefined
}

/** Runs the call and maps what it throws. Errors that are already ours pass unchanged. */
export const withS3Errors = async <T>(about: S3Action, call: () => Promise<T>): Promise<T> => {
  try {
    return await call()
  } catch (error) {
    throw toStorageError(error, about)
  }
}

export const toStorageError = (error: unknown, about: S3Action): ReelstreamError => {
  if (error instanceof ReelstreamError) return error
  const name = nameOf(error, about.signal)
  const status = statusOf(error)
  const facts: Facts = { bucket: about.bucket, key: about.key, s3Error: name, s3Status: status }
  const options = { cause: error, facts }
  const refusal = REFUSALS.find(({ names, statuses }) => names.includes(name) || statuses?.includes(status ?? 0))
  if (refusal !== undefined) {
    const message = `Could not ${about.action}: ${refusal.says}`
    if (refusal.by === 'caller') return new BadInputError(refusal.code, message, options)
    return new UpstreamError(refusal.code, message, { ...options, retryable: refusal.retryable ?? false })
  }
  if (isRefused(status)) {
    const message = `Could not ${about.action}: S3 answered ${status} ${name}.`
    return new UpstreamError('S3_REFUSED', message, { ...options, retryable: false })
  }
  const said = status === undefined ? name : `${status} ${name}`
  return new UpstreamError('S3_UNAVAILABLE', `Could not ${about.action}: S3 is away (${said}).`, options)
}

/** True for an error of ours with that code: the way callers ask, so that they need no class of the SDK. */
export const hasCode = (error: unknown, ...codes: readonly string[]): boolean =>
  error instanceof ReelstreamError && codes.includes(error.code)

interface Refusal {
  readonly code: string
  readonly names: readonly string[]
  readonly statuses?: readonly number[]
  readonly by: 'caller' | 'operator'
  readonly retryable?: boolean
  readonly says: string
}

// The first that fits wins, so names that share a status with a wider rule stand above it.
const REFUSALS: readonly Refusal[] = [
  { code: 'S3_ABORTED', names: ['AbortError'], by: 'operator', retryable: true, says: 'it was cancelled.' },
  // Temporary refusals that come with a 4xx: a slow body, throttling.
  {
    code: 'S3_UNAVAILABLE',
    names: ['RequestTimeout', 'SlowDown', 'TooManyRequestsException', 'ThrottlingException'],
    statuses: [408, 429],
    by: 'operator',
    retryable: true,
    says: 'S3 asks to come again later.',
  },
  // Who gives out the keys of a role can be away like S3 itself.
  {
    code: 'S3_NO_CREDENTIALS',
    names: ['CredentialsProviderError'],
    by: 'operator',
    retryable: true,
    says: 'S3_ACCESS_KEY_ID is not set, and the AWS SDK found no key elsewhere.',
  },
  { code: 'BUCKET_NOT_FOUND', names: ['NoSuchBucket'], by: 'operator', says: 'the bucket does not exist.' },
  { code: 'MULTIPART_NOT_FOUND', names: ['NoSuchUpload'], by: 'caller', says: 'no such multipart upload is open.' },
  {
    code: 'OBJECT_NOT_FOUND',
    names: ['NoSuchKey', 'NotFound'],
    statuses: [404],
    by: 'caller',
    says: 'it does not exist.',
  },
  {
    code: 'PRECONDITION_FAILED',
    names: ['PreconditionFailed'],
    statuses: [412],
    by: 'caller',
    says: 'the object is not in the state that was expected.',
  },
  {
    code: 'S3_CONFLICT',
    names: ['ConditionalRequestConflict', 'OperationAborted'],
    statuses: [409],
    by: 'operator',
    retryable: true,
    says: 'somebody else is writing it right now.',
  },
  {
    code: 'RANGE_NOT_SATISFIABLE',
    names: ['InvalidRange'],
    statuses: [416],
    by: 'caller',
    says: 'the range begins behind its end.',
  },
  {
    code: 'CHECKSUM_MISMATCH',
    names: ['BadDigest', 'XAmzContentChecksumMismatch', 'XAmzContentSHA256Mismatch', 'InvalidDigest'],
    by: 'caller',
    says: 'the bytes that arrived do not have the checksum that was announced.',
  },
  {
    code: 'PARTS_INVALID',
    names: ['InvalidPart', 'InvalidPartOrder', 'EntityTooSmall'],
    by: 'caller',
    says: 'a part is missing, replaced, out of order or too small.',
  },
  {
    code: 'S3_ACCESS_DENIED',
    names: [
      'AccessDenied',
      'InvalidAccessKeyId',
      'SignatureDoesNotMatch',
      'RequestTimeTooSkewed',
      'ExpiredToken',
      'InvalidToken',
    ],
    statuses: [401, 403],
    by: 'operator',
    says: 'the credentials, the policy or the clock are not right.',
  },
  {
    code: 'S3_NOT_IMPLEMENTED',
    names: ['NotImplemented'],
    statuses: [501],
    by: 'operator',
    says: 'this server cannot do it.',
  },
]

const isRefused = (status: number | undefined): boolean => status !== undefined && status >= 400 && status < 500

/** The SDK calls every end by a signal an abort; when it was a deadline that passed, S3 was too slow, nobody gave up. */
const nameOf = (error: unknown, signal: AbortSignal | undefined): string => {
  if (!(error instanceof Error)) return ''
  const reason: unknown = signal?.aborted ? signal.reason : undefined
  const isDeadline = error.name === 'AbortError' && reason instanceof Error && reason.name === 'TimeoutError'
  return isDeadline ? 'TimeoutError' : error.name
}

const statusOf = (error: unknown): number | undefined => {
  if (error instanceof S3ServiceException) return error.$metadata.httpStatusCode
  // The SDK throws plain errors too when it could not parse what a proxy in between answered.
  const metadata = (error as { $metadata?: { httpStatusCode?: number } } | null)?.$metadata
  return metadata?.httpStatusCode
}
