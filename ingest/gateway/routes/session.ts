import { Type } from 'typebox'
import { localAuthorId, signLocalToken } from '../../../platform/http/author-token.ts'
import { problemResponses } from '../../../platform/http/problem-schema.ts'
import type { Routes } from './routes.ts'

/**
 * One-click sign-in for a single machine: whoever can reach it may be anybody. It exists only where LOCAL_SIGN_IN
 * switches it on, which `npm start` does, bound to the loopback interface.
 */
export const sessionRoute = (app: Parameters<Routes>[0], secret: string): void => {
  app.route({
    method: 'POST',
    url: '/session',
    config: { rateLimit: { max: 60 } },
    schema: {
      tags: ['session'],
      summary: 'Sign in locally',
      body: Type.Object(
        { name: Type.String({ minLength: 1, maxLength: 100, pattern: '\\S' }) },
        { additionalProperties: false },
      ),
      response: { 200: Type.Object({ token: Type.String(), authorId: Type.String() }), ...problemResponses },
    },
    handler: async (request) => {
      const name = request.body.name.trim()
      const authorId = localAuthorId(name)
      return { token: await signLocalToken(secret, authorId, name), authorId }
    },
  })
}
