import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose'
import t from 'tap'
import { createAuthenticator, localAuthorId, signLocalToken } from '../../platform/http/author-token.ts'
import { createUploadHandles } from './upload-handle.ts'

const SECRET = 'a secret of at least thirty-two characters'
const key = new TextEncoder().encode(SECRET)
const bySecret = createAuthenticator({ jwtSecret: SECRET, jwksUrl: '' })
const signed = (payload: object, secret = key, alg = 'HS256') =>
  new SignJWT({ ...payload }).setProtectedHeader({ alg }).setExpirationTime('1h').sign(secret)

t.test('a token names its author', async (t) => {
  const token = await signLocalToken(SECRET, localAuthorId('Ada'), 'Ada')
  t.same(await bySecret.authorOf(token), { id: localAuthorId('ada '), name: 'Ada', role: 'AUTHOR' })
  t.same(await bySecret.authorOf(await signed({ sub: 'u1', role: 'admin' })), { id: 'u1', name: 'u1', role: 'ADMIN' })
  t.same((await bySecret.authorOf(await signed({ sub: 'u1', role: 'owner' }))).role, 'AUTHOR')
})

t.test('what is not a good token is nobody', async (t) => {
  const expired = await new SignJWT({ sub: 'u1' }).setProtectedHeader({ alg: 'HS256' }).setExpirationTime(1).sign(key)
  const bad: Record<string, string> = {
    expired,
    unsigned: new UnsecuredJWT({ sub: 'u1' }).encode(),
    'signed by somebody else': await signed({ sub: 'u1' }, new TextEncoder().encode(`${SECRET}!`)),
    'of another algorithm': await signed({ sub: 'u1' }, key, 'HS512'),
    'without a subject': await signed({}),
    'with an empty subject': await signed({ sub: '' }),
    'with a subject that is too long': await signed({ sub: 'x'.repeat(201) }),
    nonsense: 'nonsense',
    empty: '',
  }
  for (const [what, token] of Object.entries(bad)) {
    await t.rejects(bySecret.authorOf(token), { code: 'UNAUTHENTICATED' }, what)
  }
})

t.test('a short secret is refused at the start', async (t) => {
  t.throws(() => createAuthenticator({ jwtSecret: 'short', jwksUrl: '' }), { code: 'JWT_SETTINGS' })
})

t.test('with a JWKS only its keys count', async (t) => {
  const { publicKey, privateKey } = await generateKeyPair('ES256')
  const jwk = { ...(await exportJWK(publicKey)), kid: 'k1', alg: 'ES256' }
  const answer = { status: 200 }
  const server = createServer((_request, response) =>
    response.writeHead(answer.status, { 'content-type': 'application/json' }).end(JSON.stringify({ keys: [jwk] })),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const jwksUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`
  const good = await new SignJWT({ sub: 'u1', name: 'Una' })
    .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
    .setExpirationTime('1h')
    .sign(privateKey)

  answer.status = 500
  const away = createAuthenticator({ jwtSecret: SECRET, jwksUrl })
  await t.rejects(away.authorOf(good), { code: 'JWKS_UNAVAILABLE', retryable: true })
  await t.rejects(createAuthenticator({ jwtSecret: '', jwksUrl: 'http://127.0.0.1:1/' }).authorOf(good), {
    code: 'JWKS_UNAVAILABLE',
  })
  answer.status = 200
  const byProvider = createAuthenticator({ jwtSecret: SECRET, jwksUrl })
  t.same(await byProvider.authorOf(good), { id: 'u1', name: 'Una', role: 'AUTHOR' })
  const local = await signLocalToken(SECRET, 'u1', 'Una')
  await t.rejects(byProvider.authorOf(local), { code: 'UNAUTHENTICATED' }, 'the secret is out of use')
})

t.test('an upload handle opens its upload and nothing else', async (t) => {
  const handles = createUploadHandles('deployment secret')
  const handle = {
    uploadId: 'v1',
    authorId: 'u1',
    objectKey: 'v/v1/source',
    s3UploadId: 's1',
    partSizeBytes: 8,
    partCount: null,
  }
  const token = await handles.issue(handle, Date.now() + 60_000)
  t.same(await handles.verify(token), handle)
  t.ok(handles.recognises(token))
  t.notOk(handles.recognises(await signLocalToken(SECRET, 'u1', 'Una')))
  t.notOk(handles.recognises('nonsense'))
  await t.rejects(createUploadHandles('another').verify(token), { code: 'UNAUTHENTICATED' })
  await t.rejects(handles.verify(await handles.issue(handle, Date.now() - 1000)), { message: /expired/ })
  await t.rejects(bySecret.authorOf(token), { code: 'UNAUTHENTICATED' })
  const [head, , signature] = token.split('.')
  const body = Buffer.from(JSON.stringify({ ...handle, sub: 'v2', exp: 9e9 })).toString('base64url')
  await t.rejects(handles.verify(`${head}.${body}.${signature}`), { code: 'UNAUTHENTICATED' })
})
