import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT, UnsecuredJWT } from 'jose'
import t, { type Test } from 'tap'
import { createAuthenticator, localAuthorId, signLocalToken } from '../../platform/http/author-token.ts'
import { createUploadHandles, uploadHandleSecret } from './upload-handle.ts'

const SECRET = 'a secret of at least thirty-two characters'
const key = new TextEncoder().encode(SECRET)
const local = { jwtSecret: SECRET, jwksUrl: '', jwtIssuer: '', jwtAudience: '' }
const bySecret = createAuthenticator(local)
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
    'without an end': await new SignJWT({ sub: 'u1' }).setProtectedHeader({ alg: 'HS256' }).sign(key),
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

t.test('settings that would let in the wrong people are refused at the start', async (t) => {
  const refuses = (changed: Partial<typeof local>, message: RegExp) =>
    t.throws(() => createAuthenticator({ ...local, ...changed }), { code: 'JWT_SETTINGS', message })
  refuses({ jwtSecret: 'short' }, /JWT_SECRET needs 32 characters/)
  refuses({ jwksUrl: 'https://id.example/keys' }, /set JWT_AUDIENCE/)
  refuses({ jwksUrl: 'https://id.example/keys', jwtIssuer: 'https://id.example' }, /set JWT_AUDIENCE/)
  refuses({ jwtAudience: 'reelstream' }, /JWT_AUDIENCE .* JWKS_URL/)
  refuses({ jwtIssuer: 'https://id.example' }, /JWT_ISSUER .* JWKS_URL/)
})

t.test('with a JWKS only its keys count', async (t) => {
  const provider = await identityProvider(t)
  const good = await provider.sign({ sub: 'u1', name: 'Una', aud: 'reelstream', exp: inAnHour() })

  provider.status = 500
  const away = createAuthenticator(provider.settings)
  await t.rejects(away.authorOf(good), { code: 'JWKS_UNAVAILABLE', retryable: true })
  const silent = createAuthenticator({ ...provider.settings, jwksUrl: 'http://127.0.0.1:1/' })
  await t.rejects(silent.authorOf(good), { code: 'JWKS_UNAVAILABLE' })
  provider.status = 200
  const byProvider = createAuthenticator(provider.settings)
  t.same(await byProvider.authorOf(good), { id: 'u1', name: 'Una', role: 'AUTHOR' })
  const bySecretToken = await signed({ sub: 'u1', aud: 'reelstream' })
  await t.rejects(byProvider.authorOf(bySecretToken), { code: 'UNAUTHENTICATED' }, 'the secret is out of use')
})

t.test('a token that the provider made for somebody else, or for ever, is nobody', async (t) => {
  const provider = await identityProvider(t)
  const byProvider = createAuthenticator({ ...provider.settings, jwtIssuer: 'https://id.example' })
  const good = { sub: 'u1', iss: 'https://id.example', aud: ['mail', 'reelstream'], exp: inAnHour() }
  t.same((await byProvider.authorOf(await provider.sign(good))).id, 'u1', 'one audience of several is enough')
  const { exp: _exp, ...endless } = good
  const { aud: _aud, ...forNobody } = good
  const { iss: _iss, ...byNobody } = good
  const bad = {
    'for another application': { ...good, aud: 'mail', role: 'admin' },
    'for no application': forNobody,
    'of another issuer': { ...good, iss: 'https://id.example/another' },
    'of no issuer': byNobody,
    'without an end': endless,
    'that has ended': { ...good, exp: 1 },
  }
  for (const [what, payload] of Object.entries(bad)) {
    await t.rejects(byProvider.authorOf(await provider.sign(payload)), { code: 'UNAUTHENTICATED' }, what)
  }
})

t.test('upload handles have a secret of their own, else that of the tokens, and never a short one', async (t) => {
  const own = 'another secret of at least thirty-two characters'
  t.equal(uploadHandleSecret({ uploadHandleSecret: own, jwtSecret: SECRET }), own)
  t.equal(uploadHandleSecret({ uploadHandleSecret: '', jwtSecret: SECRET }), SECRET)
  for (const [handleSecret, jwtSecret] of [
    ['', ''],
    ['short', SECRET],
    ['', 'short'],
  ] as const) {
    const settings = { uploadHandleSecret: handleSecret, jwtSecret }
    t.throws(() => uploadHandleSecret(settings), { code: 'UPLOAD_HANDLE_SETTINGS', message: /UPLOAD_HANDLE_SECRET/ })
  }
})

t.test('an upload handle opens its upload and nothing else', async (t) => {
  const handles = createUploadHandles('deployment secret')
  const handle = { uploadId: 'v1', authorId: 'u1', s3UploadId: 's1' }
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

const inAnHour = () => Math.floor(Date.now() / 1000) + 3600

/** Serves its keys, with the status that it is given. */
const identityProvider = async (t: Test) => {
  const { publicKey, privateKey } = await generateKeyPair('ES256')
  const jwk = { ...(await exportJWK(publicKey)), kid: 'k1', alg: 'ES256' }
  const server = createServer((_request, response) =>
    response.writeHead(provider.status, { 'content-type': 'application/json' }).end(JSON.stringify({ keys: [jwk] })),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const jwksUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`
  const provider = {
    status: 200,
    settings: { ...local, jwksUrl, jwtAudience: 'reelstream' },
    sign: (payload: JWTPayload) =>
      new SignJWT(payload).setProtectedHeader({ alg: 'ES256', kid: 'k1' }).sign(privateKey),
  }
  return provider
}
