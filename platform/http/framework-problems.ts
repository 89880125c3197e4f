import { type Problem, problem } from './problem.ts'

/**
 * What Fastify refuses by itself, in codes of ours: its own are those of a library, which may rename them with any release,
 * and its sentences repeat what was sent. One line for each code with which it can answer a request by 4xx; the test beside
 * this file asks Fastify which these are.
 */
const OF_FASTIFY: Readonly<Record<string, Problem>> = {
  FST_ERR_BAD_URL: problem(400, 'BAD_URL', 'The path of the URL is not percent-encoded UTF-8.'),
  FST_ERR_MAX_PARAM_LENGTH: problem(414, 'URI_TOO_LONG', 'A segment of the path is longer than any name of ours.'),
  FST_ERR_NOT_FOUND: problem(404, 'NOT_FOUND', 'There is nothing of this name.'),
  FST_ERR_CTP_BODY_TOO_LARGE: problem(413, 'PAYLOAD_TOO_LARGE', 'The request body is too large.'),
  FST_ERR_CTP_EMPTY_JSON_BODY: problem(400, 'EMPTY_BODY', 'The request is said to have a body of JSON, and has none.'),
  FST_ERR_ROUTE_MISSING_CONTENT: problem(400, 'EMPTY_BODY', 'The request needs a body.'),
  FST_ERR_CTP_INVALID_JSON_BODY: problem(400, 'INVALID_JSON', 'The request body is not JSON.'),
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: problem(400, 'BODY_INCOMPLETE', 'The body has another length than announced.'),
  FST_ERR_CTP_INVALID_MEDIA_TYPE: problem(415, 'UNSUPPORTED_MEDIA_TYPE', 'Bodies are of application/json.'),
  FST_ERR_ROUTE_MISSING_CONTENT_TYPE: problem(415, 'UNSUPPORTED_MEDIA_TYPE', 'The body has no content type.'),
}

/** What plugins refuse has a status and no code that is worth anything. */
const OF_PLUGINS: Readonly<Record<number, Problem>> = {
  404: problem(404, 'NOT_FOUND', 'There is nothing of this name.'),
  413: problem(413, 'PAYLOAD_TOO_LARGE', 'The request body is too large.'),
  416: problem(416, 'RANGE_NOT_SATISFIABLE', 'The Range begins behind the end of the file.'),
  429: problem(429, 'RATE_LIMITED', 'Too many requests. Slow down.'),
}

/** What Node refuses before it is a request. */
const OF_NODE: Readonly<Record<string, Problem>> = {
  HPE_HEADER_OVERFLOW: problem(431, 'HEADERS_TOO_LARGE', 'URL and headers together are too large.'),
  ERR_HTTP_REQUEST_TIMEOUT: problem(408, 'REQUEST_TIMEOUT', 'The request did not arrive in time.'),
}

const NO_REQUEST = problem(400, 'BAD_REQUEST', 'What was sent is not a request of HTTP/1.1.')

/** Of what the framework or a plugin throws; undefined = it is not the fault of who asked. */
export const frameworkProblem = (error: Error): Problem | undefined => {
  const { statusCode = 500, code = '' } = error as { readonly statusCode?: number; readonly code?: string }
  if (statusCode < 400 || statusCode >= 500) return undefined
  return OF_FASTIFY[code] ?? OF_PLUGINS[statusCode] ?? problem(statusCode, 'BAD_REQUEST', 'The request is refused.')
}

/** Of what cannot be read as a request at all. */
export const connectionProblem = ({ code = '' }: NodeJS.ErrnoException): Problem => OF_NODE[code] ?? NO_REQUEST
