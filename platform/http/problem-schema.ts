import { Type } from 'typebox'

/** What every route documents of its non-success answers: RFC 9457 problem details with a stable code. */
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
