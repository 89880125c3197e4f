import type { InjectOptions } from 'fastify'
import t, { type Test } from 'tap'
import { localAuthorId, signLocalToken } from '../../platform/http/author-token.ts'
import { createSignInLimit, type SignInLimit } from '../../platform/http/client-policy.ts'
import { createHttpServer } from '../../platform/http/http-server.ts'
import { MiB } from '../../storage/part-size.ts'
import gateway from './app.ts'
import type { GatewayLimits } from './context.ts'
import { TEST_SECRET, testContext } from './testing/context.ts'
import { type FakePipeline, fakePipeline } from './testing/fakes.ts'

const ada = localAuthorId('Ada')
const tokens = {
  ada: await signLocalToken(TEST_SECRET, ada, 'Ada'),
  bob: await signLocalToken(TEST_SECRET, localAuthorId('Bob'), 'Bob'),
  admin: await signLocalToken(TEST_SECRET, 'root', 'Root', 'ADMIN'),
}

const newUpload = { fileName: 'holiday.mp4', contentType: 'video/mp4', sizeBytes: 20 * MiB, title: 'Holiday' }
const sha = (fill: string) => `${fill.repeat(43)}=`
const stored = (partNumber: number, sizeBytes = 8 * MiB) => ({
  partNumber,
  sizeBytes,
  etag: `"etag-${partNumber}"`,
  checksumSha256: sha('A'),
})

const startGateway = async (
  t: Test,
  options: { limits?: Partial<GatewayLimits>; signIn?: boolean; pipeline?: FakePipeline; signIns?: SignInLimit } = {},
) => {
  const { pipeline = fakePipeline() } = options
  const time = { nowMs: Date.now() }
  const app = createHttpServer()
  await app.register(gateway, {
    localSignInSecret: options.signIn === true ? TEST_SECRET : undefined,
    context: testContext(pipeline, {
      limits: { maxOpenUploads: 100, maxOpenBytes: 2048 * MiB, outcomeTimeoutMs: 50, ...options.limits },
      clock: { now: () => time.nowMs },
      ...(options.signIns === undefined ? {} : { signIns: options.signIns }),
    }),
  })
  t.teardown(() => app.close())
  const call = async (
    method: 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'GET',
    url: string,
    { as = 'ada', headers = {}, body }: { as?: string; headers?: Record<string, string>; body?: unknown } = {},
  ) => {
    const token = as in tokens ? tokens[as as keyof typeof tokens] : as
    const authorization: Record<string, string> = token === '' ? {} : { authorization: `Bearer ${token}` }
    const request: InjectOptions = { method, url, headers: { ...authorization, ...headers } }
    const answer = await app.inject(body === undefined ? request : { ...request, payload: body as object })
    return { status: answer.statusCode, headers: answer.headers, body: answer.json() }
  }
  const create = (body: object = {}, key = 'key-1', as = 'ada') =>
    call('POST', '/uploads', { as, headers: { 'idempotency-key': key }, body: { ...newUpload, ...body } })
  return { ...pipeline, call, create, time, app }
}

t.test('create', async (t) => {
  t.test('answers with what is recorded', async (t) => {
    const { create, sent, multiparts } = await startGateway(t)
    const { status, body } = await create({ tags: ['Sea', 'sea', 'Sun'], metadata: { camera: { iso: 100 } } })
    t.equal(status, 201)
    t.match(body, { status: 'open', partSizeBytes: 8 * MiB, partCount: 3, claimId: sent[0]?.id })
    t.equal(body.videoId, body.uploadId)
    t.equal(body.watchUrl, `http://localhost:80/v/${body.videoId}`)
    t.match(sent, [
      {
        type: 'UploadStarted',
        videoId: body.videoId,
        data: {
          authorId: ada,
          sizeBytes: 20 * MiB,
          partCount: 3,
          contentType: 'video/mp4',
          bucket: 'media',
          objectKey: `v/${body.videoId}/source`,
          details: {
            title: 'Holiday',
            author: 'Ada',
            description: '',
            tags: ['sea', 'sun'],
            visibility: 'PUBLIC',
            fileName: 'holiday.mp4',
            metadata: '{"camera":{"iso":100}}',
          },
        },
      },
    ])
    t.equal(multiparts.size, 1)
  })

  t.test('the same key and body again is the same upload, without another multipart or claim', async (t) => {
    const { create, sent, multiparts } = await startGateway(t)
    const { uploadToken: _first, ...first } = (await create()).body
    const { uploadToken: _second, ...second } = (await create()).body
    t.same(second, first)
    t.equal(sent.length, 1)
    t.equal(multiparts.size, 1)
  })

  t.test('the same key with another body is refused', async (t) => {
    const { create } = await startGateway(t)
    await create()
    for (const other of [{ sizeBytes: 5 }, { contentType: 'video/webm' }, { title: 'Other' }, { tags: ['x'] }]) {
      t.match(await create(other), { status: 422, body: { code: 'IDEMPOTENCY_KEY_REUSED' } })
    }
  })

  t.test('a repetition after the author changed the title is still the same upload', async (t) => {
    const { create, videos } = await startGateway(t)
    const { videoId } = (await create()).body
    const video = videos.get(videoId)
    if (video !== undefined) {
      videos.set(videoId, { ...video, revision: 2, details: { ...video.details, title: 'New' } })
    }
    t.match(await create(), { status: 201, body: { videoId } })
  })

  t.test('the same key of another author is another video', async (t) => {
    const { create } = await startGateway(t)
    t.not((await create()).body.videoId, (await create({}, 'key-1', 'bob')).body.videoId)
  })

  t.test('without a key every create is a new video', async (t) => {
    const { call } = await startGateway(t)
    const one = await call('POST', '/uploads', { body: newUpload })
    t.not((await call('POST', '/uploads', { body: newUpload })).body.videoId, one.body.videoId)
  })

  t.test(
    'of two creates that race on two gateways, both get the upload of the first, and the loser frees its multipart',
    async (t) => {
      const pipeline = fakePipeline()
      const slow = await startGateway(t, { pipeline })
      const fast = await startGateway(t, { pipeline })
      pipeline.fault.beforeClaim = async () => {
        delete pipeline.fault.beforeClaim
        await fast.create()
      }
      const { status, body } = await slow.create()
      t.equal(status, 201)
      t.equal(pipeline.uploads.get(body.videoId)?.s3UploadId, 's3-upload-2')
      t.same([...pipeline.multiparts.keys()], ['s3-upload-2'])
      t.equal(body.claimId, pipeline.sent[0]?.id, 'the claim that counts is the one of the winner')
    },
  )

  t.test('of two creates that race on one gateway, both make the same claim', async (t) => {
    const { create, fault, multiparts, sent } = await startGateway(t)
    fault.beforeClaim = async () => {
      delete fault.beforeClaim
      await create()
    }
    t.match(await create(), { status: 201 })
    t.equal(multiparts.size, 1)
    t.equal(sent[0]?.id, sent[1]?.id)
  })

  t.test('of two that race with one multipart, one that is not written leaves it to the other', async (t) => {
    const { create, fault, multiparts, uploads } = await startGateway(t)
    fault.beforeClaim = async () => {
      delete fault.beforeClaim
      t.match(await create(), { status: 201 })
      fault.kafka = 'refuses-to-write'
    }
    t.match(await create(), { status: 503 })
    t.same(
      [...multiparts.keys()],
      [...uploads.values()].map((upload) => upload.s3UploadId),
    )
  })

  t.test('of two that race with one multipart, the first may fail before the other is written', async (t) => {
    const { create, fault, multiparts, uploads } = await startGateway(t)
    const [isJoined, hasFailed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    let second: ReturnType<typeof create> | undefined
    fault.beforeClaim = async () => {
      fault.beforeClaim = async () => {
        isJoined.resolve()
        await hasFailed.promise
      }
      second = create()
      await isJoined.promise
      fault.kafka = 'refuses-to-write'
    }
    t.match(await create(), { status: 503 })
    delete fault.kafka
    hasFailed.resolve()
    t.match(await second, { status: 201 })
    t.same(
      [...multiparts.keys()],
      [...uploads.values()].map((upload) => upload.s3UploadId),
    )
  })

  t.test('a claim in doubt that turns out to be in the log is the one that counts', async (t) => {
    const { create, fault, uploads, multiparts, sent } = await startGateway(t)
    fault.pipeline = 'stopped'
    t.match(await create(), { status: 503 })
    delete fault.pipeline
    const [claim] = sent
    if (claim?.type !== 'UploadStarted') throw new Error('no claim')
    uploads.set(claim.videoId, {
      ...claim.data,
      ...{ videoId: claim.videoId, status: 'open', code: null, detail: null, rejections: 0 },
    })
    t.match(await create(), { status: 201, body: { claimId: claim.id } })
    t.equal(multiparts.size, 1, 'its multipart is still there')
    t.equal(sent.length, 1)
  })

  t.test('a claim in doubt keeps its multipart, though a repetition is certainly not written', async (t) => {
    const { create, fault, multiparts } = await startGateway(t)
    fault.kafka = 'away'
    t.match(await create(), { status: 503 })
    fault.kafka = 'refuses-to-write'
    const { status } = await create()
    t.ok(status >= 400)
    t.equal(multiparts.size, 1, 'the first claim may be in the log, and names it')
  })

  t.test('an empty file, and one that is too large, are refused before anything is made', async (t) => {
    const { create, sent, multiparts } = await startGateway(t)
    t.match(await create({ sizeBytes: 0 }), { status: 422, body: { code: 'EMPTY_FILE' } })
    t.match(await create({ sizeBytes: 1024 * MiB + 1 }), { status: 413, body: { code: 'FILE_TOO_LARGE' } })
    t.match(await create({ sizeBytes: 1024 * MiB }), { status: 201 })
    t.equal(sent.length, 1)
    t.equal(multiparts.size, 1)
  })

  t.test('a body that breaks a limit is refused, naming the field', async (t) => {
    const { create, sent } = await startGateway(t)
    const long = 'x'.repeat(201)
    const bad: [string, object][] = [
      ['title', { title: '' }],
      ['title', { title: '  ' }],
      ['title', { title: long }],
      ['description', { description: 'x'.repeat(5001) }],
      ['author', { author: long }],
      ['tags', { tags: Array.from({ length: 51 }, (_, i) => `t${i}`) }],
      ['tags.0', { tags: ['x'.repeat(51)] }],
      ['visibility', { visibility: 'everybody' }],
      ['sizeBytes', { sizeBytes: -1 }],
      ['sizeBytes', { sizeBytes: 1.5 }],
      ['sizeBytes', { sizeBytes: '5' }],
      ['fileName', { fileName: '' }],
      ['contentType', { contentType: 'video/mp4\r\nx: y' }],
      ['metadata', { metadata: [] }],
      ['(request)', { surprise: 1 }],
    ]
    for (const [field, body] of bad) {
      const answer = await create(body)
      t.match(answer, { status: 400, body: { code: 'VALIDATION_FAILED' } }, JSON.stringify(body).slice(0, 60))
      const fields = answer.body.errors?.map((error: { field: string }) => error.field)
      t.ok(fields?.includes(field), `${field} in ${fields}`)
      t.match(answer.headers['content-type'], /^application\/problem\+json/)
    }
    t.match(await create({ title: 'a\u0000b' }), { status: 400, body: { code: 'VALIDATION_FAILED' } })
    t.match(await create({ metadata: { 'a\u0000': 1 } }), { status: 422, body: { code: 'METADATA_INVALID' } })
    t.equal(sent.length, 0)
  })

  t.test('Kafka away: 503, and the repetition finishes what was begun', async (t) => {
    const { create, fault, multiparts, sent } = await startGateway(t)
    fault.kafka = 'away'
    const answer = await create()
    t.match(answer, { status: 503, body: { code: 'CLAIM_DOUBTFUL' }, headers: { 'retry-after': '1' } })
    delete fault.kafka
    t.match(await create(), { status: 201 })
    t.same([...multiparts.keys()], ['s3-upload-1'], 'with the same multipart')
    t.equal(sent.length, 1)
  })

  t.test('Kafka away for so long that nothing more may wait: an earlier attempt still may be written', async (t) => {
    const { create, fault, multiparts } = await startGateway(t)
    fault.kafka = 'away'
    await create()
    fault.kafka = 'full'
    t.match(await create(), { status: 503, body: { code: 'SEND_QUEUE_FULL' }, headers: { 'retry-after': '1' } })
    t.same([...multiparts.keys()], ['s3-upload-1'], 'so its multipart stays')
    delete fault.kafka
    t.match(await create(), { status: 201 })
    t.same([...multiparts.keys()], ['s3-upload-1'])
  })

  t.test('a claim that was certainly not written leaves no multipart', async (t) => {
    const { create, fault, multiparts } = await startGateway(t)
    fault.kafka = 'refuses-to-write'
    t.match(await create(), { status: 503 })
    t.equal(multiparts.size, 0)
  })

  t.test('a claim that was refused leaves no multipart', async (t) => {
    const { create, fault, multiparts } = await startGateway(t)
    fault.refuse = 'CONFLICT'
    t.match(await create(), { status: 409, body: { code: 'CONFLICT', detail: 'Refused.' } })
    t.equal(multiparts.size, 0)
  })

  t.test('a pipeline that stands still: 503, and the claim goes on to count', async (t) => {
    const { create, fault, multiparts, sent } = await startGateway(t)
    fault.pipeline = 'stopped'
    t.match(await create(), { status: 503, body: { code: 'UPLOAD_NOT_RECORDED_YET' } })
    delete fault.pipeline
    const { status, body } = await create()
    t.equal(status, 201)
    t.same(new Set(sent.map((claim) => claim.id)), new Set([body.claimId]), 'repeated as the same claim')
    t.equal(multiparts.size, 1)
  })

  t.test('S3 or the database away: 503 with Retry-After, nothing made', async (t) => {
    const { create, fault, multiparts, sent } = await startGateway(t)
    fault.s3 = 'away'
    t.match(await create(), { status: 503, body: { code: 'S3_UNAVAILABLE' }, headers: { 'retry-after': '1' } })
    delete fault.s3
    fault.database = 'away'
    t.match(await create(), { status: 503, body: { code: 'DATABASE_UNAVAILABLE' }, headers: { 'retry-after': '1' } })
    t.equal(multiparts.size + sent.length, 0)
  })
})

t.test('parts', async (t) => {
  t.test('are signed as planned, by the author or with the upload token', async (t) => {
    const { create, call } = await startGateway(t)
    const { uploadId, uploadToken } = (await create()).body
    const parts = [
      { partNumber: 1, sizeBytes: 8 * MiB, checksumSha256: sha('A') },
      { partNumber: 3, sizeBytes: 4 * MiB, checksumSha256: sha('B') },
    ]
    for (const as of ['ada', 'admin', uploadToken]) {
      const { status, body } = await call('POST', `/uploads/${uploadId}/parts/sign`, { as, body: { parts } })
      t.equal(status, 200)
      t.match(body.parts, [
        { partNumber: 1, url: /partNumber=1&uploadId=s3-upload-1/, headers: { 'x-amz-checksum-sha256': sha('A') } },
        { partNumber: 3, url: /partNumber=3/, expiresAtMs: Number },
      ])
    }
  })

  t.test('say whether they are recorded with these bytes, or somebody else may be sending them', async (t) => {
    const { create, call, parts: recorded, time } = await startGateway(t)
    const { uploadId } = (await create()).body
    const another = (await create({}, 'key-2')).body.uploadId
    const states = async (upload: string, numbers: readonly number[], unlessSignedWithinMs?: number) => {
      const part = { sizeBytes: 8 * MiB, checksumSha256: sha('A'), unlessSignedWithinMs }
      const body = { parts: numbers.map((partNumber) => ({ ...part, partNumber })) }
      const answer = await call('POST', `/uploads/${upload}/parts/sign`, { body })
      return answer.body.parts.map(({ state }: { state: string }) => state)
    }
    t.same(await states(uploadId, [1], 1_000), ['free'])
    time.nowMs += 999
    t.same(await states(uploadId, [1, 2], 1_000), ['taken', 'free'])
    t.same(await states(another, [1], 1_000), ['free'])
    time.nowMs += 1
    t.same(await states(uploadId, [1], 1_000), ['free'], 'who was told that it is taken did not take it')
    t.same(await states(uploadId, [1], 1_000), ['taken'])
    t.same(await states(uploadId, [1]), ['free'], 'who does not ask is not told')
    recorded.get(uploadId)?.set(1, stored(1))
    t.same(await states(uploadId, [1, 2], 1_000), ['recorded', 'taken'])
    recorded.get(uploadId)?.set(1, { ...stored(1), checksumSha256: sha('B') })
    t.same(await states(uploadId, [1]), ['free'], 'other bytes')
    recorded.get(uploadId)?.set(1, stored(1, 7))
    t.same(await states(uploadId, [1]), ['free'], 'another length')
  })

  t.test(
    'are recorded for whoever sends them, too, as soon as they are reported, until they are rejected',
    async (t) => {
      const { create, call, uploads, fault } = await startGateway(t)
      const { uploadId } = (await create()).body
      const state = async (checksumSha256: string) => {
        const body = { parts: [{ partNumber: 1, sizeBytes: 8 * MiB, checksumSha256 }] }
        return (await call('POST', `/uploads/${uploadId}/parts/sign`, { body })).body.parts[0].state
      }
      fault.pipeline = 'stopped'
      const { partNumber: _path, ...part } = stored(1)
      await call('PUT', `/uploads/${uploadId}/parts/1`, { body: part })
      t.equal(await state(sha('A')), 'recorded')
      t.equal(await state(sha('B')), 'free', 'other bytes')
      const upload = uploads.get(uploadId)
      if (upload !== undefined) uploads.set(uploadId, { ...upload, rejections: 1 })
      t.equal(await state(sha('A')), 'free', 'S3 did not have it')
      await call('POST', `/uploads/${uploadId}/parts`, { body: { parts: [stored(1)] } })
      t.equal(await state(sha('A')), 'recorded')
      fault.kafka = 'away'
      await call('PUT', `/uploads/${uploadId}/parts/1`, { body: { ...part, checksumSha256: sha('B') } })
      t.equal(await state(sha('B')), 'free', 'nobody knows of it')
    },
  )

  t.test('that are not in the plan are refused', async (t) => {
    const { create, call, sent } = await startGateway(t)
    const { uploadId } = (await create()).body
    const parts = [stored(4), stored(1, 5), stored(3, 8 * MiB)]
    for (const { etag, ...part } of parts) {
      const body = { parts: [part] }
      const signed = await call('POST', `/uploads/${uploadId}/parts/sign`, { body })
      t.match(signed, { status: 422, body: { code: 'PART_INVALID' } })
      const { partNumber, ...rest } = part
      const reported = await call('PUT', `/uploads/${uploadId}/parts/${partNumber}`, { body: { ...rest, etag } })
      t.match(reported, { status: 422, body: { code: 'PART_INVALID' } })
    }
    t.equal(sent.length, 1, 'only the UploadStarted')
  })

  t.test('in a form that is not documented are refused', async (t) => {
    const { create, call } = await startGateway(t)
    const { uploadId } = (await create()).body
    const sign = (parts: unknown) => call('POST', `/uploads/${uploadId}/parts/sign`, { body: { parts } })
    const good = { partNumber: 1, sizeBytes: 8 * MiB, checksumSha256: sha('A') }
    for (const bad of [
      [],
      Array.from({ length: 101 }, () => good),
      [{ ...good, partNumber: 0 }],
      [{ ...good, partNumber: 10_001 }],
      [{ ...good, checksumSha256: 'short' }],
      [{ partNumber: 1 }],
    ]) {
      t.match(await sign(bad), { status: 400, body: { code: 'VALIDATION_FAILED' } })
    }
    const report = { etag: 'e', sizeBytes: 8 * MiB, checksumSha256: sha('A') }
    t.match(await call('PUT', `/uploads/${uploadId}/parts/one`, { body: report }), { status: 400 })
  })

  t.test('are claimed one by one or together, and again as the same claim', async (t) => {
    const { create, call, sent } = await startGateway(t)
    const { uploadId } = (await create()).body
    const { partNumber: _n, ...first } = stored(1)
    const one = await call('PUT', `/uploads/${uploadId}/parts/1`, { body: first })
    t.equal(one.status, 202)
    const both = await call('POST', `/uploads/${uploadId}/parts`, { body: { parts: [stored(1), stored(2)] } })
    t.equal(both.status, 202)
    t.equal(both.body.parts[0].claimId, one.body.claimId)
    t.not(both.body.parts[1].claimId, one.body.claimId)
    t.match(sent.slice(1), [
      { type: 'PartUploaded', videoId: uploadId, data: { partNumber: 1, etag: 'etag-1', checksum: sha('A') } },
      { type: 'PartUploaded', data: { partNumber: 1 } },
      { type: 'PartUploaded', data: { partNumber: 2, sizeBytes: 8 * MiB } },
    ])
  })

  t.test('of an upload that is closed or expired are neither signed nor taken', async (t) => {
    const { create, call, uploads, time, sent } = await startGateway(t)
    const { uploadId } = (await create()).body
    const upload = uploads.get(uploadId)
    if (upload === undefined) throw new Error('no upload')
    const { etag: _etag, ...toSign } = stored(1)
    const attempts = async () => [
      await call('POST', `/uploads/${uploadId}/parts/sign`, { body: { parts: [toSign] } }),
      await call('POST', `/uploads/${uploadId}/parts`, { body: { parts: [stored(1)] } }),
    ]
    for (const status of ['completed', 'aborted'] as const) {
      uploads.set(uploadId, { ...upload, status })
      for (const answer of await attempts()) t.match(answer, { status: 409, body: { code: 'UPLOAD_CLOSED' } })
    }
    uploads.set(uploadId, upload)
    time.nowMs += 3_600_000
    for (const answer of await attempts()) t.match(answer, { status: 409, body: { code: 'UPLOAD_CLOSED' } })
    t.equal(sent.length, 1)
  })

  t.test('of an upload that was complete long ago are shown to whoever comes with its key', async (t) => {
    const { create, call, uploads } = await startGateway(t)
    const { uploadId } = (await create()).body
    await call('POST', `/uploads/${uploadId}/parts`, { body: { parts: [stored(1)] } })
    const upload = uploads.get(uploadId)
    if (upload === undefined) throw new Error('no upload')
    uploads.set(uploadId, { ...upload, status: 'completed', expiresAtMs: 1 })
    const { uploadToken: as, status } = (await create()).body
    const listed = await call('GET', `/uploads/${uploadId}/parts`, { as })
    t.match({ status, listed }, { status: 'completed', listed: { status: 200, body: { parts: [{ partNumber: 1 }] } } })
  })
})

t.test('an upload of unknown length', async (t) => {
  const { fileName, contentType, title } = newUpload
  const stream = { fileName, contentType, title }
  const part = (partNumber: number, sizeBytes: number) => ({ partNumber, sizeBytes, checksumSha256: sha('A') })
  const begun = async (t: Test, limits: Partial<GatewayLimits> = {}) => {
    const gateway = await startGateway(t, { limits })
    const begin = () => gateway.call('POST', '/uploads', { headers: { 'idempotency-key': 'key-1' }, body: stream })
    const { uploadId } = (await begin()).body
    const sign = (...parts: readonly object[]) =>
      gateway.call('POST', `/uploads/${uploadId}/parts/sign`, { body: { parts } })
    const seal = (partCount: number, sizeBytes: number, as = 'ada') =>
      gateway.call('POST', `/uploads/${uploadId}/seal`, { as, body: { partCount, sizeBytes } })
    const report = (...partNumbers: readonly number[]) => {
      const parts = partNumbers.map((partNumber) => stored(partNumber, 16 * MiB))
      return gateway.call('POST', `/uploads/${uploadId}/parts`, { body: { parts } })
    }
    return { ...gateway, begin, uploadId, sign, report, seal }
  }

  t.test('has parts of one length, and no count until it is sealed', async (t) => {
    const { begin, uploadId, seal, sent } = await begun(t)
    const open = { status: 201, body: { uploadId, status: 'open', partSizeBytes: 16 * MiB } }
    t.match(await begin(), { ...open, body: { ...open.body, partCount: null } })
    t.match(sent, [{ type: 'UploadStarted', data: { sizeBytes: null, partCount: null } }], 'once')
    t.match(await seal(2, 20 * MiB), { status: 202, body: { claimId: String } })
    t.match(sent[1], { type: 'UploadSealed', data: { partCount: 2, sizeBytes: 20 * MiB } })
    t.match(await begin(), { ...open, body: { ...open.body, partCount: 2 } })
  })

  t.test('signs parts of that length or shorter, up to the largest file', async (t) => {
    const { sign } = await begun(t)
    t.equal((await sign(part(1, 16 * MiB), part(2, 5))).status, 200)
    t.match(await sign(part(1, 16 * MiB + 1)), { status: 422, body: { code: 'PART_INVALID' } })
    t.equal((await sign(part(64, 16 * MiB))).status, 200, '1024 MiB in all')
    t.match(await sign(part(65, 1)), { status: 413, body: { code: 'FILE_TOO_LARGE' } })
  })

  t.test('is sealed once, with numbers that fit', async (t) => {
    const { seal, uploads, uploadId, sent } = await begun(t)
    t.match(await seal(3, 20 * MiB), { status: 422, body: { code: 'PART_INVALID' } })
    t.match(await seal(65, 1025 * MiB), { status: 413, body: { code: 'FILE_TOO_LARGE' } })
    const { body } = await seal(2, 20 * MiB)
    t.match(await seal(2, 20 * MiB), { status: 202, body }, 'a repetition is the same claim')
    t.match(await seal(1, 5), { status: 409, body: { code: 'ALREADY_SEALED' } })
    const upload = uploads.get(uploadId)
    if (upload === undefined) throw new Error('no upload')
    uploads.set(uploadId, { ...upload, status: 'completed' })
    const claims = sent.length
    t.match(await seal(2, 20 * MiB), { status: 202, body }, 'also when it is complete already')
    t.match(await seal(1, 5), { status: 409, body: { code: 'UPLOAD_CLOSED' } })
    t.equal(sent.length, claims)
  })

  t.test('of a file whose length was known is not sealed', async (t) => {
    const { create, call } = await startGateway(t)
    const { uploadId } = (await create()).body
    const body = { partCount: 1, sizeBytes: 5 }
    t.match(await call('POST', `/uploads/${uploadId}/seal`, { body }), {
      status: 409,
      body: { code: 'ALREADY_SEALED' },
    })
  })

  t.test('counts towards what its author may have open, as it grows', async (t) => {
    const { sign, report } = await begun(t, { maxOpenBytes: 40 * MiB })
    t.equal((await sign(part(1, 16 * MiB))).status, 200)
    await report(1)
    t.equal((await sign(part(2, 16 * MiB))).status, 200)
    const answer = await sign(part(2, 16 * MiB), part(3, 16 * MiB))
    t.match(answer, { status: 429, body: { code: 'UPLOAD_QUOTA_EXCEEDED' }, headers: { 'retry-after': '30' } })
  })

  t.test('counts once what is sent again, and up to its highest part what is sent before it', async (t) => {
    const { sign, report } = await begun(t, { maxOpenBytes: 32 * MiB })
    t.match(await sign(part(3, 1)), { status: 429, body: { code: 'UPLOAD_QUOTA_EXCEEDED' } })
    await report(1, 2)
    t.equal((await sign(part(1, 16 * MiB), part(2, 16 * MiB))).status, 200)
  })

  t.test('holds only so many parts that nobody was told of', async (t) => {
    const { sign, report } = await begun(t, { maxUploadBytes: 10_000 * MiB, maxOpenBytes: 10_000 * MiB })
    for (let partNumber = 1; partNumber <= 256; partNumber++) {
      t.equal((await sign(part(partNumber, 16 * MiB))).status, 200)
    }
    const tooFar = { status: 429, body: { code: 'PARTS_NOT_REPORTED' }, headers: { 'retry-after': '5' } }
    t.match(await sign(part(257, 16 * MiB)), tooFar)
    t.match(await sign(part(1, 16 * MiB), part(300, 16 * MiB)), tooFar)
    await report(7)
    t.equal((await sign(part(257, 16 * MiB))).status, 200, 'each report makes room for one more')
    t.match(await sign(part(258, 16 * MiB)), tooFar)
  })

  t.test('is not sealed with more than it may hold unreported', async (t) => {
    const { seal, report } = await begun(t, { maxUploadBytes: 10_000 * MiB })
    const tooFar = { status: 429, body: { code: 'PARTS_NOT_REPORTED' } }
    t.match(await seal(257, 257 * 16 * MiB), tooFar)
    await report(1)
    t.equal((await seal(257, 257 * 16 * MiB)).status, 202)
  })
})

t.test('the parts that are stored', async (t) => {
  t.test('are listed in pages, to the author and with the upload token', async (t) => {
    const { create, call } = await startGateway(t)
    const { uploadId, uploadToken } = (await create()).body
    await call('POST', `/uploads/${uploadId}/parts`, { body: { parts: [stored(3, 4 * MiB), stored(1)] } })
    const list = (query = '', as = 'ada') => call('GET', `/uploads/${uploadId}/parts${query}`, { as })
    const { status, body, headers } = await list()
    t.equal(status, 200)
    t.match(headers, { 'cache-control': 'private, no-store' })
    t.same(body, {
      status: 'open',
      code: null,
      detail: null,
      rejections: 0,
      partSizeBytes: 8 * MiB,
      partCount: 3,
      sizeBytes: 20 * MiB,
      parts: [
        { partNumber: 1, sizeBytes: 8 * MiB, checksumSha256: sha('A'), etag: 'etag-1' },
        { partNumber: 3, sizeBytes: 4 * MiB, checksumSha256: sha('A'), etag: 'etag-3' },
      ],
      nextPart: null,
    })
    t.match(await list('?limit=1', uploadToken), { status: 200, body: { parts: [{ partNumber: 1 }], nextPart: 1 } })
    t.match(await list('?limit=1&afterPart=1'), { body: { parts: [{ partNumber: 3 }], nextPart: null } })
    for (const bad of ['?limit=0', '?limit=1001', '?afterPart=-1', '?afterPart=x'])
      t.match(await list(bad), { status: 400 })
  })

  t.test('are listed of an upload that is over, too: its client learns that it is', async (t) => {
    const { create, call, uploads } = await startGateway(t)
    const { uploadId, uploadToken: as } = (await create()).body
    const upload = uploads.get(uploadId)
    if (upload === undefined) throw new Error('no upload')
    const listed = () => call('GET', `/uploads/${uploadId}/parts?limit=1`, { as })
    uploads.set(uploadId, { ...upload, status: 'completed', rejections: 2 })
    t.match(await listed(), { status: 200, body: { status: 'completed', rejections: 2 } })
    const end = { status: 'aborted', code: 'UPLOAD_EXPIRED', detail: 'Too late.' } as const
    uploads.set(uploadId, { ...upload, ...end })
    t.match(await listed(), { status: 200, body: end })
  })

  t.test('are reported anew, as another claim, once one was rejected', async (t) => {
    const { create, call, uploads, sent } = await startGateway(t)
    const { uploadId } = (await create()).body
    const report = () => call('POST', `/uploads/${uploadId}/parts`, { body: { parts: [stored(1)] } })
    await report()
    const upload = uploads.get(uploadId)
    if (upload !== undefined) uploads.set(uploadId, { ...upload, rejections: 1 })
    await report()
    await report()
    const ids = sent.slice(1).map(({ id }) => id)
    t.not(ids[1], ids[0])
    t.equal(ids[2], ids[1])
  })
})

t.test('an author has only so much open', async (t) => {
  const over = (code: string) => ({ status: 429, body: { code }, headers: { 'retry-after': '30' } })

  t.test('uploads', async (t) => {
    const { create, uploads, multiparts } = await startGateway(t, { limits: { maxOpenUploads: 2 } })
    await create({}, 'a')
    const { uploadId } = (await create({}, 'b')).body
    t.match(await create({}, 'c'), over('TOO_MANY_OPEN_UPLOADS'))
    t.equal(multiparts.size, 2, 'nothing was begun')
    t.equal((await create({}, 'b')).status, 201, 'a repetition is none more')
    t.equal((await create({}, 'c', 'bob')).status, 201, 'somebody else has a limit of his own')
    const upload = uploads.get(uploadId)
    if (upload !== undefined) uploads.set(uploadId, { ...upload, status: 'completed' })
    t.equal((await create({}, 'c')).status, 201, 'what is over makes room')
  })

  t.test('bytes', async (t) => {
    const { create } = await startGateway(t, { limits: { maxOpenBytes: 50 * MiB } })
    await create({}, 'a')
    t.match(await create({ sizeBytes: 31 * MiB }, 'b'), over('UPLOAD_QUOTA_EXCEEDED'))
    t.equal((await create({ sizeBytes: 30 * MiB }, 'b')).status, 201)
  })
})

t.test('abort', async (t) => {
  const { create, call, sent, uploads } = await startGateway(t)
  const { uploadId, uploadToken } = (await create()).body
  t.match(await call('DELETE', `/uploads/${uploadId}`), { status: 202, body: { claimId: String } })
  t.match(sent[1], { type: 'UploadAbortRequested', data: { actor: { id: ada, role: 'AUTHOR' } } })
  await call('DELETE', `/uploads/${uploadId}`, { as: uploadToken })
  t.equal(sent[2]?.id, sent[1]?.id, 'asking twice is the same wish')
  const upload = uploads.get(uploadId)
  if (upload !== undefined) uploads.set(uploadId, { ...upload, status: 'completed' })
  t.match(await call('DELETE', `/uploads/${uploadId}`), { status: 409, body: { code: 'UPLOAD_CLOSED' } })
})

t.test('videos', async (t) => {
  t.test('a change claims only what was given', async (t) => {
    const { create, call, sent } = await startGateway(t)
    const { videoId } = (await create()).body
    const body = { title: ' New ', tags: ['A', 'a'], visibility: 'unlisted' }
    const answer = await call('PATCH', `/videos/${videoId}`, { headers: { 'if-match': '"1"' }, body })
    t.equal(answer.status, 202)
    t.same(sent[1], {
      type: 'VideoDetailsChanged',
      videoId,
      id: answer.body.claimId,
      data: {
        actor: { id: ada, role: 'AUTHOR' },
        title: 'New',
        description: null,
        author: null,
        tags: ['a'],
        visibility: 'UNLISTED',
        metadata: null,
        sealedDetails: null,
        expectedRevision: 1,
        revision: null,
      },
    })
  })

  t.test('a stale revision is refused, one that the reads do not know yet is left to the log', async (t) => {
    const { create, call, videos, sent } = await startGateway(t)
    const { videoId } = (await create()).body
    const video = videos.get(videoId)
    if (video !== undefined) videos.set(videoId, { ...video, revision: 3 })
    const change = (revision: string) =>
      call('PATCH', `/videos/${videoId}`, { headers: { 'if-match': revision }, body: { title: 'x' } })
    t.match(await change('"2"'), { status: 412, body: { code: 'REVISION_CONFLICT' } })
    t.match(await change('"4"'), { status: 202 })
    t.match(await change('*'), { status: 202 })
    t.match(sent.slice(1), [{ data: { expectedRevision: 4 } }, { data: { expectedRevision: null } }])
    t.match(await change('three'), { status: 400 })
  })

  t.test('a change of nothing, or of what is not a detail, is refused', async (t) => {
    const { create, call } = await startGateway(t)
    const { videoId } = (await create()).body
    for (const body of [{}, { status: 'ready' }, { title: null }]) {
      t.match(await call('PATCH', `/videos/${videoId}`, { body }), { status: 400, body: { code: 'VALIDATION_FAILED' } })
    }
  })

  t.test('the same Idempotency-Key is the same claim', async (t) => {
    const { create, call } = await startGateway(t)
    const { videoId } = (await create()).body
    const remove = (key: string) => call('DELETE', `/videos/${videoId}`, { headers: { 'idempotency-key': key } })
    const first = await remove('a')
    t.equal(first.status, 202)
    t.equal((await remove('a')).body.claimId, first.body.claimId)
    t.not((await remove('b')).body.claimId, first.body.claimId)
  })

  t.test('what is deleted, unknown or private to somebody else is not found', async (t) => {
    const { create, call, videos } = await startGateway(t)
    const { videoId } = (await create({ visibility: 'PRIVATE' })).body
    const notFound = { status: 404, body: { code: 'VIDEO_NOT_FOUND' } }
    t.match(await call('DELETE', '/videos/unknown'), notFound)
    t.match(await call('DELETE', `/videos/${videoId}`, { as: 'bob' }), notFound)
    const video = videos.get(videoId)
    if (video !== undefined) videos.set(videoId, { ...video, status: 'deleted' })
    t.match(await call('DELETE', `/videos/${videoId}`), notFound)
  })
})

t.test('who may do what', async (t) => {
  const { create, call, uploads: recorded } = await startGateway(t)
  const { uploadId, uploadToken } = (await create()).body
  const other = (await create({}, 'key-2')).body
  const { partNumber: _n, etag, ...part } = stored(1)
  const routes = {
    sign: ['POST', `/uploads/${uploadId}/parts/sign`, { parts: [{ partNumber: 1, ...part }] }],
    report: ['PUT', `/uploads/${uploadId}/parts/1`, { ...part, etag }],
    reportAll: ['POST', `/uploads/${uploadId}/parts`, { parts: [stored(1)] }],
    abort: ['DELETE', `/uploads/${uploadId}`, undefined],
    change: ['PATCH', `/videos/${uploadId}`, { title: 'x' }],
    remove: ['DELETE', `/videos/${uploadId}`, undefined],
  } as const
  const uploads = ['sign', 'report', 'reportAll', 'abort']
  for (const [name, [method, url, body]] of Object.entries(routes)) {
    const status = async (as: string) =>
      (await call(method, url, { as, ...(body === undefined ? {} : { body }) })).status
    const allowed = name === 'sign' ? 200 : 202
    const withHandle = uploads.includes(name)
    t.equal(await status('ada'), allowed, `${name}: the author may`)
    t.equal(await status('admin'), allowed, `${name}: an admin may`)
    t.equal(await status('bob'), 403, `${name}: another author may not`)
    t.equal(await status(''), 401, `${name}: nobody may`)
    t.equal(await status('nonsense'), 401, `${name}: a token that is none may not`)
    t.equal(await status(uploadToken), withHandle ? allowed : 401, `${name}: the upload token`)
    t.equal(await status(other.uploadToken), withHandle ? 403 : 401, `${name}: the token of another upload may not`)
  }
  t.equal((await create({}, 'key-3', '')).status, 401)
  t.equal((await create({}, 'key-3', uploadToken)).status, 401, 'an upload token creates nothing')
  const upload = recorded.get(uploadId)
  if (upload !== undefined) recorded.set(uploadId, { ...upload, s3UploadId: 'of a create that won' })
  t.equal((await call('GET', `/uploads/${uploadId}/parts`, { as: uploadToken })).status, 403, 'of another multipart')
  t.match(await call('POST', '/uploads/unknown/parts/sign', { body: routes.sign[2] }), {
    status: 404,
    body: { code: 'UPLOAD_NOT_FOUND' },
  })
})

t.test('session', async (t) => {
  t.test('is not there unless it is switched on', async (t) => {
    const { call } = await startGateway(t)
    t.match(await call('POST', '/session', { body: { name: 'Ada' } }), { status: 404, body: { code: 'NOT_FOUND' } })
  })

  t.test('gives the same author for the same name, with a token that works', async (t) => {
    const { call, create } = await startGateway(t, { signIn: true })
    const { status, body } = await call('POST', '/session', { as: '', body: { name: ' ada ' } })
    t.equal(status, 200)
    t.equal(body.authorId, ada)
    t.equal((await create({}, 'key-1', body.token)).status, 201)
    t.equal((await call('POST', '/session', { as: '', body: { name: ' ' } })).status, 400)
  })
})

t.test('too many requests of one author are slowed down, and nobody else is', async (t) => {
  const { create } = await startGateway(t, { limits: { createsPerMinute: 2 } })
  await create({}, 'a')
  await create({}, 'b')
  const answer = await create({}, 'c')
  t.match(answer, { status: 429, body: { code: 'RATE_LIMITED' } })
  t.ok(answer.headers['retry-after'])
  t.equal((await create({}, 'c', 'bob')).status, 201)
})

t.test('an address that signs in with bad tokens again and again is not asked any more for a while', async (t) => {
  const { app, create } = await startGateway(t, { signIns: createSignInLimit({ perMinute: 3 }) })
  const attempt = async (token: string, remoteAddress: string) => {
    const headers = token === '' ? {} : { authorization: `Bearer ${token}` }
    const answer = await app.inject({ method: 'DELETE', url: '/uploads/none', headers, remoteAddress })
    return { status: answer.statusCode, code: answer.json().code, retryAfter: Number(answer.headers['retry-after']) }
  }
  for (let n = 0; n < 10; n++) t.equal((await attempt(tokens.ada, '192.0.2.1')).status, 404, 'good ones do not count')
  for (const token of ['nonsense', '', `${tokens.ada}x`]) t.equal((await attempt(token, '192.0.2.1')).status, 401)
  const slowedDown = await attempt('nonsense', '192.0.2.1')
  t.match(slowedDown, { status: 429, code: 'RATE_LIMITED' })
  t.ok(slowedDown.retryAfter > 30 && slowedDown.retryAfter <= 60, `${slowedDown.retryAfter} s`)
  t.equal((await attempt(tokens.ada, '192.0.2.1')).status, 429, 'before a token is looked at')
  t.equal((await attempt('nonsense', '192.0.2.2')).status, 401, 'another address')
  t.equal((await create()).status, 201)
})

t.test('what cannot be read is a problem with a code, whatever reads it first', async (t) => {
  const { app } = await startGateway(t)
  const authorization = `Bearer ${tokens.ada}`
  const json = 'application/json'
  const asked = (method: 'GET' | 'POST', url: string, type?: string, payload?: string) =>
    app.inject({
      ...{ method, url },
      headers: { authorization, ...(type === undefined ? {} : { 'content-type': type }) },
      ...(payload === undefined ? {} : { payload }),
    })
  const refused: readonly [code: string, status: number, answer: ReturnType<typeof asked>][] = [
    ['INVALID_JSON', 400, asked('POST', '/uploads', json, '{')],
    ['EMPTY_BODY', 400, asked('POST', '/uploads', json, '')],
    ['VALIDATION_FAILED', 400, asked('POST', '/uploads')],
    ['UNSUPPORTED_MEDIA_TYPE', 415, asked('POST', '/uploads', 'text/html', '<p>')],
    ['PAYLOAD_TOO_LARGE', 413, asked('POST', '/uploads', json, `"${'x'.repeat(600 * 1024)}"`)],
    ['URI_TOO_LONG', 414, asked('GET', `/uploads/${'x'.repeat(300)}/parts`)],
    ['BAD_URL', 400, asked('GET', '/uploads/%ff/parts')],
    ['VALIDATION_FAILED', 400, asked('GET', '/uploads/%00/parts')],
    ['VALIDATION_FAILED', 400, asked('GET', `/uploads/${'x'.repeat(65)}/parts`)],
    ['NOT_FOUND', 404, asked('GET', '/nothing')],
  ]
  for (const [code, status, asking] of refused) {
    const answer = await asking
    t.hasStrict(answer.json(), { status, code }, code)
    t.equal(answer.statusCode, status, code)
    t.match(answer.headers['content-type'], /^application\/problem\+json/, code)
  }
})
