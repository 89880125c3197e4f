import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import { errorCodes } from 'fastify'
import t, { type Test } from 'tap'
import { answerWithProblems } from './fastify-problems.ts'
import { frameworkProblem } from './framework-problems.ts'
import { createHttpServer } from './http-server.ts'

const serve = async (t: Test) => {
  const app = createHttpServer({ bodyLimit: 100 })
  answerWithProblems(app)
  app.get('/things/:id', () => ({}))
  app.post('/things/:id', () => ({}))
  t.teardown(() => app.close())
  return app
}

t.test('what is refused before it reaches a route is problem+json with a code of ours', async (t) => {
  const app = await serve(t)
  const json = { 'content-type': 'application/json' }
  const refused: readonly [code: string, status: number, title: string, request: object][] = [
    ['URI_TOO_LONG', 414, 'URI Too Long', { method: 'GET', url: `/things/${'x'.repeat(300)}` }],
    ['URI_TOO_LONG', 414, 'URI Too Long', { method: 'POST', url: `/things/${'x'.repeat(300)}` }],
    ['BAD_URL', 400, 'Bad Request', { method: 'POST', url: '/things/%ff' }],
    ['BAD_URL', 400, 'Bad Request', { method: 'GET', url: '/nothing/%' }],
    ['INVALID_JSON', 400, 'Bad Request', { headers: json, payload: '{' }],
    ['INVALID_JSON', 400, 'Bad Request', { headers: json, payload: '{"__proto__":1}' }],
    ['INVALID_JSON', 400, 'Bad Request', { headers: json, payload: '{', url: '/nothing' }],
    ['EMPTY_BODY', 400, 'Bad Request', { headers: json, payload: '' }],
    ['PAYLOAD_TOO_LARGE', 413, 'Content Too Large', { headers: json, payload: `"${'x'.repeat(100)}"` }],
    ['UNSUPPORTED_MEDIA_TYPE', 415, 'Unsupported Media Type', { headers: { 'content-type': 'a/b' }, payload: 'x' }],
    [
      'UNSUPPORTED_MEDIA_TYPE',
      415,
      'Unsupported Media Type',
      { headers: { 'content-type': 'nonsense' }, payload: 'x' },
    ],
    ['NOT_FOUND', 404, 'Not Found', { url: '/nothing' }],
    ['NOT_FOUND', 404, 'Not Found', { method: 'PUT' }],
  ]
  for (const [code, status, title, request] of refused) {
    const answer = await app.inject({ method: 'POST', url: '/things/1', ...request })
    t.hasStrict(answer.json(), { code, status, title, type: `urn:reelstream:error:${code.toLowerCase()}` }, code)
    t.match(answer.json().detail, /^[A-Z].*\.$/, code)
    t.equal(answer.statusCode, status, code)
    t.match(answer.headers, { 'content-type': /^application\/problem\+json/, 'cache-control': 'no-store' }, code)
    t.notMatch(answer.body, /FST_ERR/, code)
  }
})

t.test('bytes that are no request, or too many of them, are answered so, too', async (t) => {
  const app = await serve(t)
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const answerTo = async (text: string): Promise<string> => {
    const socket = connect(port, '127.0.0.1')
    let answer = ''
    socket.on('data', (chunk) => {
      answer += String(chunk)
    })
    socket.write(text)
    await once(socket, 'close')
    return answer
  }
  const noRequest = await answerTo('nonsense\r\n\r\n')
  t.match(noRequest, /^HTTP\/1\.1 400 Bad Request\r\ncontent-type: application\/problem\+json\r\n/)
  t.hasStrict(JSON.parse(noRequest.split('\r\n\r\n')[1] ?? ''), { status: 400, code: 'BAD_REQUEST' })
  const tooLong = await answerTo(`GET /${'x'.repeat(100_000)} HTTP/1.1\r\nhost: a\r\n\r\n`)
  t.match(tooLong, /^HTTP\/1\.1 431 /)
  t.hasStrict(JSON.parse(tooLong.split('\r\n\r\n')[1] ?? ''), { status: 431, code: 'HEADERS_TOO_LARGE' })
})

t.test('each code with which Fastify refuses a request has one of ours', async (t) => {
  // Met by its `validation`; and two of the one who programs.
  const others = ['FST_ERR_VALIDATION', 'FST_ERR_CTP_INSTANCE_ALREADY_STARTED', 'FST_ERR_INVALID_URL']
  const refusals = Object.values(errorCodes)
    .map((FastifyError) => new FastifyError())
    .filter(({ code, statusCode = 500 }) => statusCode < 500 && !others.includes(code))
  t.ok(refusals.length >= 10, `${refusals.length} codes`)
  for (const refusal of refusals) t.notMatch(frameworkProblem(refusal), { code: 'BAD_REQUEST' }, refusal.code)
})

t.test('of an error of which nothing is known nothing is said but whose fault it is', async (t) => {
  const thrown = (statusCode: number) => Object.assign(new Error('secret'), { statusCode, code: 'SOME_LIBRARY' })
  t.match(frameworkProblem(thrown(418)), { status: 418, code: 'BAD_REQUEST', title: "I'm a Teapot" })
  t.match(frameworkProblem(thrown(429)), { code: 'RATE_LIMITED' })
  t.notMatch(JSON.stringify(frameworkProblem(thrown(418))), 'secret')
  t.equal(frameworkProblem(thrown(500)), undefined)
  t.equal(frameworkProblem(thrown(302)), undefined)
})
