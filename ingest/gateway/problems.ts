import { Type } from 'typebox'
import { type Problem, problem } from '../../platform/http/problem.ts'

/** The non-success answers of every route, for its schema: RFC 9457 problem details with a stable code. */
const ProblemBody = Type.Object(
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

export const problemResponses = {
  '4xx': { description: 'Refused.', content: { 'application/problem+json': { schema: ProblemBody } } },
  '5xx': { description: 'Try again.', content: { 'application/problem+json': { schema: ProblemBody } } },
}

/** Codes of our own for what the framework and the rate limit throw. */
export const gatewayProblem = (error: Error): Problem | undefined => {
  const { statusCode } = error as { statusCode?: number }
  if (statusCode === 413) return problem(413, 'PAYLOAD_TOO_LARGE', 'The request body is too large.')
  if (statusCode === 429) return problem(429, 'RATE_LIMITED', 'Too many requests. Slow down.')
  return undefined
}
