import Fastify from 'fastify'
import t from 'tap'
import { BadInputError } from '../../platform/errors.ts'
import { createSignInLimit } from '../../platform/http/client-policy.ts'
import { answerWithProblems } from '../../platform/http/fastify-problems.ts'
import { viewerOf } from './viewer.ts'

t.test('an address that reads with bad tokens again and again is slowed down', async (t) => {
  const viewers = {
    authorOf: async (token: string) => {
      if (token !== 'good') throw new BadInputError('UNAUTHENTICATED', 'The token is not valid.')
      return { id: 'ada', role: 'AUTHOR' as const }
    },
  }
  const context = { viewers, signIns: createSignInLimit({ perMinute: 2 }) }
  const app = Fastify({ trustProxy: ['loopback'] })
  answerWithProblems(app)
  app.get('/', async (request) => ({ viewer: await viewerOf(context, request) }))
  t.teardown(() => app.close())
  const read = async (authorization: string | undefined, from: string) => {
    const headers = { 'x-forwarded-for': from, ...(authorization === undefined ? {} : { authorization }) }
    return app.inject({ method: 'GET', url: '/', headers })
  }
  for (let n = 0; n < 5; n++) {
    t.equal((await read('Bearer good', '192.0.2.1')).statusCode, 200)
    t.equal((await read(undefined, '192.0.2.1')).statusCode, 200, 'without a token nobody fails')
  }
  for (const wrong of ['Bearer bad', 'Basic abc']) t.equal((await read(wrong, '192.0.2.1')).statusCode, 401)
  const slowed = await read('Bearer good', '192.0.2.1')
  t.equal(slowed.statusCode, 429)
  t.equal(slowed.json().code, 'RATE_LIMITED')
  t.match(slowed.headers['retry-after'], /^(59|60)$/)
  t.equal((await read(undefined, '192.0.2.1')).statusCode, 200, 'what is for everybody is still read')
  t.equal((await read('Bearer good', '192.0.2.2')).statusCode, 200)
})
