import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { ReelstreamError } from '../../platform/errors.ts'
import { PROBLEM_CONTENT_TYPE, type Problem, problem, problemOf } from '../../platform/http/problem.ts'

/** Every answer that is not a success is problem+json (RFC 9457) with a stable code. */
export const ProblemBody = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String({ description: 'Stable; see docs/errors.md.' }),
    detail: Type.String(),
    errors: Type.Optional(Type.Array(Type.Object({ field: Type.String(), message: Type.String() }))),
  },
  { description: 'RFC 9457 problem details.' },
)

/** The non-success answers of every route, for its schema. */
export const problemResponses = {
  '4xx': { description: 'Refused.', content: { 'application/problem+json': { schema: ProblemBody } } },
  '5xx': { description: 'Try again.', content: { 'application/problem+json': { schema: ProblemBody } } },
}

/** Seconds after which a client may try again what failed because something of ours is away. */
const RETRY_AFTER_SECONDS = '2'

export const answerWithProblems = (app: FastifyInstance): void => {
  app.setErrorHandler((error: Error, request, reply) => {
    const answer = problemFor(error)
    if (answer.status >= 500) request.log.error({ err: error, code: answer.code }, 'request failed')
    else request.log.debug({ code: answer.code, detail: answer.detail }, 'request refused')
    if (answer.status === 503) void reply.header('retry-after', RETRY_AFTER_SECONDS)
    if (answer.status === 401) void reply.header('www-authenticate', 'Bearer')
    return send(reply, answer)
  })
  app.setNotFoundHandler((request: FastifyRequest, reply) =>
    send(reply, problem(404, 'NOT_FOUND', `There is no ${request.method} ${request.url.split('?')[0]}.`)),
  )
}

const send = (reply: FastifyReply, answer: Problem) =>
  reply.status(answer.status).type(PROBLEM_CONTENT_TYPE).send(answer)

const problemFor = (error: Error): Problem => {
  if (error instanceof ReelstreamError) return problemOf(error)
  const { statusCode = 500, validation, code } = error as FrameworkError
  if (validation !== undefined) {
    const errors = validation.map(({ instancePath, message }) => ({ field: fieldOf(instancePath), message }))
    return problem(400, 'VALIDATION_FAILED', 'The request does not have the form that is documented.', errors)
  }
  if (statusCode === 413) return problem(413, 'PAYLOAD_TOO_LARGE', 'The request body is too large.')
  if (statusCode === 429) return problem(429, 'RATE_LIMITED', 'Too many requests. Slow down.')
  if (statusCode >= 400 && statusCode < 500) return problem(statusCode, code ?? 'BAD_REQUEST', error.message)
  return problem(500, 'INTERNAL', 'The server failed. The log has the details.')
}

/** What Fastify and its plugins throw. */
interface FrameworkError extends Error {
  readonly statusCode?: number
  readonly code?: string
  readonly validation?: readonly { readonly instancePath: string; readonly message: string }[]
}

const fieldOf = (instancePath: string): string => instancePath.slice(1).replaceAll('/', '.') || '(body)'
