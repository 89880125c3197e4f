import { ConfigError, type Facts, ReelstreamError, UpstreamError } from '../../platform/errors.ts'

interface KafkajsError {
  readonly name?: string
  readonly message?: string
  readonly type?: string
  readonly retriable?: boolean
  readonly cause?: unknown
}

/** kafkajs wraps what happened into what it did about it (KafkaJSNumberOfRetriesExceeded …): what happened decides. */
export const originOf = (error: unknown): KafkajsError => {
  let origin = error as KafkajsError
  while (origin.type === undefined && origin.cause instanceof Error) origin = origin.cause
  return origin
}

/** The broker's name of the error (NOT_LEADER_FOR_PARTITION …), else kafkajs' (KafkaJSConnectionError …). */
export const kafkaErrorOf = (error: unknown): string => {
  const { type, name } = originOf(error)
  return type ?? name ?? 'Error'
}

/**
 * Somebody else owns the transactional id now. 90 (PRODUCER_FENCED) is newer than kafkajs, which only passes its number on.
 */
export const isFenced = (error: unknown): boolean => {
  const { type, message } = originOf(error)
  return type === 'INVALID_PRODUCER_EPOCH' || message === 'Unknown error code 90'
}

const UNAUTHORIZED = /_AUTHORIZATION_FAILED$|^SASL_AUTHENTICATION_FAILED$|KafkaJSSASLAuthenticationError/

/** A failure of kafkajs as one of ours: what must be configured, or what may be tried again. */
export const asUpstreamError = (code: string, message: string, error: unknown, facts: Facts = {}): ReelstreamError => {
  if (error instanceof ReelstreamError) return error
  const kafkaError = kafkaErrorOf(error)
  const detail = originOf(error).message ?? String(error)
  if (UNAUTHORIZED.test(kafkaError)) {
    return new ConfigError('KAFKA_UNAUTHORIZED', `${message}: ${detail}; grant it in the broker's ACLs`, {
      cause: error,
      facts: { ...facts, kafkaError },
    })
  }
  return new UpstreamError(code, `${message}: ${detail}`, {
    cause: error,
    facts: { ...facts, kafkaError },
    retryable: !isRefusal(kafkaError),
  })
}

/** Whether it is what the broker says of the records themselves: it will say the same of them again. */
export const isRefusal = (kafkaError: string): boolean => REFUSALS.has(kafkaError)

const REFUSALS: ReadonlySet<string> = new Set([
  'MESSAGE_TOO_LARGE',
  'RECORD_LIST_TOO_LARGE',
  'INVALID_RECORD',
  'INVALID_TIMESTAMP',
  'POLICY_VIOLATION',
])
