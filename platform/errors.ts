/**
 * One error family for the whole product.
 *
 * `code` is stable and documented in docs/errors.md: programs branch on it, never on the message. `retryable` alone
 * decides between "again later" and "a person must look". `facts` are plain, log-safe data (never a secret, never a
 * signed URL). The four subclasses say who must act: the caller, the operator of a dependency, whoever configures the
 * process, or us.
 */
export type Facts = Readonly<Record<string, string | number | boolean | null | undefined>>

export interface ErrorOptions {
  readonly cause?: unknown
  readonly facts?: Facts
  readonly retryable?: boolean
}

export abstract class ReelstreamError extends Error {
  readonly code: string
  readonly retryable: boolean
  readonly facts: Facts

  constructor(code: string, message: string, retryable: boolean, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = new.target.name
    this.code = code
    this.retryable = options.retryable ?? retryable
    this.facts = options.facts ?? {}
  }
}

/** The caller sent something that cannot be served as it is. Never retryable; becomes a 4xx. */
export class BadInputError extends ReelstreamError {
  constructor(code: string, message: string, options: ErrorOptions = {}) {
    super(code, message, false, options)
  }
}

/** Something we depend on (Kafka, registry, S3, Postgres, FFmpeg) failed. Retryable unless it says otherwise; a 503. */
export class UpstreamError extends ReelstreamError {
  constructor(code: string, message: string, options: ErrorOptions = {}) {
    super(code, message, true, options)
  }
}

/** The process was started with settings it cannot work with. Not retryable: somebody must change the settings. */
export class ConfigError extends ReelstreamError {
  constructor(code: string, message: string, options: ErrorOptions = {}) {
    super(code, message, false, options)
  }
}

/** A promise of our own code was broken. Not retryable: the same code would break it again. */
export class BugError extends ReelstreamError {
  constructor(code: string, message: string, options: ErrorOptions = {}) {
    super(code, message, false, options)
  }
}

/** The error as one log- and wire-safe line: its code where it is ours, else its name, then the message. */
export const describeError = (error: unknown): string => {
  if (error instanceof ReelstreamError) return `${error.code}: ${error.message}`
  if (error instanceof Error) return `${error.name}: ${error.message}`
  return String(error)
}

export const isRetryable = (error: unknown): boolean => error instanceof ReelstreamError && error.retryable
