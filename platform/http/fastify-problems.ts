import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { BadInputError, ReelstreamError } from '../errors.ts'
import { frameworkProblem } from './framework-problems.ts'
import { PROBLEM_CONTENT_TYPE, type Problem, problem, problemOf } from './problem.ts'

/** Seconds after which a client may try again what failed because something of ours is away or behind. */
const RETRY_AFTER_SECONDS = '1'

/** After what one author has too much of: something has to end first. Rate limits say it more exactly themselves. */
const RETRY_AFTER_LIMIT_SECONDS = '30'

/** After what ends when a read model has caught up. */
const RETRY_AFTER_REPORTS_SECONDS = '5'

/**
 * Every answer of `app` that is not a success is problem+json with a stable code. `problemFor` may know an error better
 * than the common table; undefined = it does not.
 */
export const answerWithProblems = (
  app: FastifyInstance,
  problemFor: (error: Error) => Problem | undefined = () => undefined,
): void => {
  app.addHook('onRequest', refuseUnstorable)
  app.setErrorHandler((error: Error, request, reply) => {
    const answer = problemFor(error) ?? problemOfAny(error)
    if (answer.status >= 500) request.log.error({ err: error, code: answer.code }, 'request failed')
    else request.log.debug({ code: answer.code, detail: answer.detail }, 'request refused')
    if (answer.status === 503) void reply.header('retry-after', RETRY_AFTER_SECONDS)
    if (answer.status === 429 && !reply.hasHeader('retry-after')) {
      void reply.header('retry-after', retryAfterOf(error, answer))
    }
    if (answer.status === 401) void reply.header('www-authenticate', 'Bearer')
    return sendProblem(reply, answer)
  })
}

const retryAfterOf = (error: Error, { code }: Problem): string => {
  const seconds = error instanceof ReelstreamError ? error.facts.retryAfterSeconds : undefined
  if (seconds !== undefined) return String(seconds)
  return code === 'PARTS_NOT_REPORTED' ? RETRY_AFTER_REPORTS_SECONDS : RETRY_AFTER_LIMIT_SECONDS
}

/**
 * PostgreSQL has no U+0000, in no parameter of any route: asked for, it fails, and would look as if the database were away,
 * which clients wait out.
 */
const refuseUnstorable = async (request: FastifyRequest): Promise<void> => {
  if (!request.url.includes('%00')) return
  throw new BadInputError('VALIDATION_FAILED', 'A URL with U+0000 in it names nothing.')
}

/** For the outermost server only: what no route answers. */
export const answerUnknownPaths = (app: FastifyInstance): void => {
  app.setNotFoundHandler((request, reply) =>
    sendProblem(reply, problem(404, 'NOT_FOUND', `There is no ${request.method} ${request.url.split('?')[0]}.`)),
  )
}

export const sendProblem = (reply: FastifyReply, answer: Problem) =>
  reply.status(answer.status).header('cache-control', 'no-store').type(PROBLEM_CONTENT_TYPE).send(answer)

const problemOfAny = (error: Error): Problem => {
  if (error instanceof ReelstreamError) return problemOf(error)
  const { validation } = error as RefusedByForm
  if (validation !== undefined) {
    const errors = validation.map(({ instancePath, message }) => ({ field: fieldOf(instancePath), message }))
    return problem(400, 'VALIDATION_FAILED', 'The request does not have the form that is documented.', errors)
  }
  return frameworkProblem(error) ?? problem(500, 'INTERNAL', 'The server failed. The log has the details.')
}

/** What Fastify throws when a schema is not met. */
interface RefusedByForm extends Error {
  readonly validation?: readonly { readonly instancePath: string; readonly message: string }[]
}

const fieldOf = (instancePath: string): string => instancePath.slice(1).replaceAll('/', '.') || '(request)'
