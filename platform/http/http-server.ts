import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import Fastify, { type FastifyInstance, type FastifyServerOptions, LogController } from 'fastify'
import { answerUnknownPaths, sendProblem } from './fastify-problems.ts'
import { connectionProblem, frameworkProblem } from './framework-problems.ts'
import { PROBLEM_CONTENT_TYPE, problem } from './problem.ts'

/**
 * Every server of ours that routes are mounted in. What is refused before there is a route, which no error handler sees,
 * is problem+json with a stable code as everything else: a path that cannot be decoded, a parameter that is too long, a
 * path that nobody serves, bytes that are no request. What its routes answer is said by `answerWithProblems`.
 *
 * Requests are not logged one by one: proxies do that. What fails is.
 */
export const createHttpServer = (
  options: Omit<FastifyServerOptions, 'frameworkErrors' | 'clientErrorHandler'> = {},
): FastifyInstance => {
  const app = Fastify({
    ...options,
    logController: new LogController({ disableRequestLogging: true }),
    frameworkErrors: (error, request, reply) => {
      const answer = frameworkProblem(error) ?? problem(500, 'INTERNAL', 'The server failed. The log has the details.')
      if (answer.status >= 500) request.log.error({ err: error, code: answer.code }, 'request failed')
      else request.log.debug({ code: answer.code }, 'request refused')
      return sendProblem(reply, answer)
    },
    clientErrorHandler: answerNoRequest,
  })
  answerUnknownPaths(app)
  return app
}

/** There is no request and no reply here: the answer is written by hand, and the connection is of no use any more. */
const answerNoRequest = (error: NodeJS.ErrnoException, socket: Socket): void => {
  if (error.code === 'ECONNRESET' || socket.destroyed) return
  const answer = connectionProblem(error)
  const body = JSON.stringify(answer)
  const head = [
    `HTTP/1.1 ${answer.status} ${STATUS_CODES[answer.status]}`,
    `content-type: ${PROBLEM_CONTENT_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'cache-control: no-store',
    'connection: close',
  ]
  if (socket.writable) socket.write(`${head.join('\r\n')}\r\n\r\n${body}`)
  socket.destroy(error)
}
