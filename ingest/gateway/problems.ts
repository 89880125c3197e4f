import { type Problem, problem } from '../../platform/http/problem.ts'

/** Codes of our own for what the framework and the rate limit throw. */
export const gatewayProblem = (error: Error): Problem | undefined => {
  const { statusCode } = error as { statusCode?: number }
  if (statusCode === 413) return problem(413, 'PAYLOAD_TOO_LARGE', 'The request body is too large.')
  if (statusCode === 429) return problem(429, 'RATE_LIMITED', 'Too many requests. Slow down.')
  return undefined
}
