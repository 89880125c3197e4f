import { STATUS_CODES } from 'node:http'
import { BadInputError, BugError, ConfigError, type ReelstreamError, UpstreamError } from '../errors.ts'

/** RFC 9457 problem details, plus our stable `code`. `errors` names the fields that a validation refused. */
export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly code: string
  readonly detail: string
  readonly errors?: readonly { readonly field: string; readonly message: string }[]
}

export const PROBLEM_CONTENT_TYPE = 'application/problem+json'

/** Codes whose HTTP status is not the one of their class. The only place where a code meets a status. */
const STATUS_OF_CODE: Readonly<Record<string, number>> = {
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  UPLOAD_NOT_FOUND: 404,
  VIDEO_NOT_FOUND: 404,
  NOT_PLAYABLE_YET: 404,
  CONFLICT: 409,
  UPLOAD_CLOSED: 409,
  ALREADY_SEALED: 409,
  REVISION_CONFLICT: 412,
  PAYLOAD_TOO_LARGE: 413,
  FILE_TOO_LARGE: 413,
  EMPTY_FILE: 422,
  IDEMPOTENCY_KEY_REUSED: 422,
  METADATA_INVALID: 422,
  PART_INVALID: 422,
  RANGE_NOT_SATISFIABLE: 416,
  RATE_LIMITED: 429,
  PARTS_NOT_REPORTED: 429,
  TOO_MANY_OPEN_UPLOADS: 429,
  UPLOAD_QUOTA_EXCEEDED: 429,
}

export const statusOf = (error: ReelstreamError): number => {
  const known = STATUS_OF_CODE[error.code]
  if (known !== undefined) return known
  if (error instanceof BadInputError) return 400
  if (error instanceof UpstreamError) return 503
  if (error instanceof ConfigError || error instanceof BugError) return 500
  return 500
}

/** Of a claim that was refused after it had been accepted: what the code says, else a conflict with what is. */
export const statusOfRefusal = (code: string): number => STATUS_OF_CODE[code] ?? 409

/** Those of RFC 9110 where Node still has the ones of the RFCs before it. */
const TITLES: Readonly<Record<number, string>> = {
  ...STATUS_CODES,
  413: 'Content Too Large',
  422: 'Unprocessable Content',
}

/** Builds the problem body for a code. A 5xx never carries the inner message: that belongs into the log. */
export const problem = (status: number, code: string, detail: string, errors?: Problem['errors']): Problem => ({
  type: `urn:reelstream:error:${code.toLowerCase()}`,
  title: TITLES[status] ?? 'Error',
  status,
  code,
  detail,
  ...(errors === undefined ? {} : { errors }),
})

export const problemOf = (error: ReelstreamError): Problem => {
  const status = statusOf(error)
  return problem(status, error.code, status === 500 ? 'The server failed. The log has the details.' : error.message)
}
