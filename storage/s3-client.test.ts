import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { systemClock } from '../platform/clock.ts'
import { readConfig } from '../platform/config.ts'
import { bucketExists } from './bucket.ts'
import { presignPart } from './presign.ts'
import { createPresignClient, createS3Client, type S3Client, s3SettingsOf } from './s3-client.ts'

const KEYS = { S3_ACCESS_KEY_ID: 'AKIDLONG', S3_SECRET_ACCESS_KEY: 'secret' }
const settingsFrom = (env: Record<string, string>) =>
  s3SettingsOf(readConfig({ S3_ENDPOINT: 'http://127.0.0.1:1', ...env }))

const ref = { bucket: 'b', key: 'v/1/source', uploadId: 'u' }
const part = { partNumber: 1, sizeBytes: 5, checksumSha256: 'LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=' }

/** What a part is signed with, as the URL tells, and for how long the answer says that it is good. */
const signed = async (presigner: S3Client) => {
  const { url, expiresAtMs } = await presignPart(presigner, ref, part, { expiresInSeconds: 900, clock: systemClock })
  const query = new URL(url).searchParams
  return {
    key: query.get('X-Amz-Credential')?.split('/')[0],
    sessionToken: query.get('X-Amz-Security-Token'),
    lifeMs: expiresAtMs - Date.now(),
  }
}

const presignerFrom = (t: Test, env: Record<string, string>): S3Client => {
  const presigner = createPresignClient(settingsFrom(env))
  t.teardown(() => presigner.destroy())
  return presigner
}

t.test('a key of our settings signs, with its session token where it has one', async (t) => {
  t.match(await signed(presignerFrom(t, KEYS)), { key: 'AKIDLONG', sessionToken: null })
  const temporary = presignerFrom(t, { ...KEYS, S3_SESSION_TOKEN: 'session' })
  t.match(await signed(temporary), { key: 'AKIDLONG', sessionToken: 'session' })
})

t.test('half a key is refused', async (t) => {
  for (const env of [
    { S3_ACCESS_KEY_ID: 'a' },
    { S3_SECRET_ACCESS_KEY: 'b' },
    { S3_SESSION_TOKEN: 'c' },
    { S3_ACCESS_KEY_ID: 'a', S3_SESSION_TOKEN: 'c' },
  ]) {
    t.throws(() => settingsFrom(env), { code: 'S3_SETTINGS', message: /S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY/ })
  }
})

t.test('without a key of ours, calls and signatures are by the role that the process runs as', async (t) => {
  const role = await containerRole(t, 3_600_000)
  t.match(await signed(presignerFrom(t, {})), { key: 'ASIAROLE1', sessionToken: 'session-1' })
  const s3 = createS3Client(settingsFrom({ S3_ENDPOINT: role.endpoint }))
  t.teardown(() => s3.destroy())
  t.equal(await bucketExists(s3, 'media'), true)
  t.match(role.asked(), { 'x-amz-security-token': 'session-2', authorization: /Credential=ASIAROLE2\// })
})

t.test('a signature does not outlive the role that made it', async (t) => {
  await containerRole(t, 8 * 60_000)
  const { lifeMs } = await signed(presignerFrom(t, {}))
  t.ok(lifeMs > 7 * 60_000 && lifeMs <= 8 * 60_000, `${lifeMs} ms`)
})

t.test('a key is renewed before it ends', async (t) => {
  await containerRole(t, 4 * 60_000)
  const presigner = presignerFrom(t, {})
  t.equal((await signed(presigner)).key, 'ASIAROLE1')
  while ((await signed(presigner)).key === 'ASIAROLE1') await setImmediate()
  t.pass('without waiting for its end')
})

t.test('nobody to ask for keys is said, and may pass', async (t) => {
  environment(t, {})
  const s3 = createS3Client(settingsFrom({}))
  t.teardown(() => s3.destroy())
  await t.rejects(bucketExists(s3, 'media'), { code: 'S3_NO_CREDENTIALS', retryable: true })
})

/** Gives out keys as ECS and EKS do (AWS_CONTAINER_CREDENTIALS_FULL_URI), and answers as S3 to everything else. */
const containerRole = async (t: Test, lifeMs: number) => {
  let handedOut = 0
  let asked = {}
  const server = createServer((request, response) => {
    if (request.url !== '/role') {
      asked = request.headers
      response.end()
      return
    }
    handedOut += 1
    const Expiration = new Date(Date.now() + lifeMs).toISOString()
    const keys = {
      AccessKeyId: `ASIAROLE${handedOut}`,
      SecretAccessKey: 'secret',
      Token: `session-${handedOut}`,
      Expiration,
    }
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(keys))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  environment(t, { AWS_CONTAINER_CREDENTIALS_FULL_URI: `${endpoint}/role` })
  return { endpoint, asked: () => asked }
}

/** Nothing of the machine that the test runs on: no key in the environment, no file, no metadata service. */
const environment = (t: Test, env: Record<string, string>) => {
  const value = {
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    AWS_EC2_METADATA_DISABLED: 'true',
    ...env,
  }
  t.intercept(process, 'env', { value })
}
