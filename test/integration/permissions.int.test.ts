import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { startTestApi } from '../../api/testing/test-api.ts'
import gateway from '../../ingest/gateway/app.ts'
import { TEST_SECRET, testContext } from '../../ingest/gateway/testing/context.ts'
import { fakePipeline } from '../../ingest/gateway/testing/fakes.ts'
import { createUploadHandles } from '../../ingest/gateway/upload-handle.ts'
import { createAuthenticator, signLocalToken } from '../../platform/http/author-token.ts'
import { decide } from '../../processors/admit-events/decide.ts'
import { evolve } from '../../processors/admit-events/evolve.ts'
import { fact } from '../../projections/testing/story.ts'
import { EXAMPLE_VIDEO_ID, examples } from '../../schemas/examples.ts'
import type { Actor } from '../../schemas/generated.ts'
import { type VideoClaim, videoIntake } from '../../schemas/topics.ts'

/**
 * Who may do what: every route that is registered and every claim that there is, against everybody who may try. The
 * tables are compared with what the servers register and the door declares, so a route or a claim without a row fails.
 *
 * The video is private and its upload open, so that whatever somebody else sees of it is too much.
 */
const authenticator = createAuthenticator({ jwtSecret: TEST_SECRET, jwksUrl: '', jwtIssuer: '', jwtAudience: '' })
const ADA = 'ada'

/** In the order of the columns of the tables. */
const CALLERS = ['author', 'other', 'admin', 'nobody', 'handle', 'foreignHandle'] as const
type Caller = (typeof CALLERS)[number]
/** Status, and the code where it says more. */
type Row = readonly [author: Cell, other: Cell, admin: Cell, nobody: Cell, handle: Cell, foreignHandle: Cell]
type Cell = number | string

interface Registered {
  readonly method: string | readonly string[]
  readonly url: string
}

/** `GET /videos/:id`: without HEAD, which Fastify adds to GET, and without the slash that a folder's route may end with. */
const namesOf = (routes: readonly Registered[]): readonly string[] => {
  const all = routes.flatMap(({ method, url }) =>
    [method]
      .flat()
      .filter((each) => each !== 'HEAD' && each !== 'OPTIONS')
      .map((each) => `${each} ${url.replace(/(.)\/$/, '$1')}`),
  )
  return [...new Set(all)].sort()
}

const answersOf = async (
  app: FastifyInstance,
  tokens: Readonly<Record<Caller, string | null>>,
  request: { readonly method: string; readonly url: string; readonly body?: object },
): Promise<readonly string[]> => {
  const answers: string[] = []
  for (const caller of CALLERS) {
    const token = tokens[caller]
    // As a stream: live events never end.
    const answer = await app.inject({
      method: request.method as 'GET',
      url: request.url,
      headers: token === null ? {} : { authorization: `Bearer ${token}` },
      ...(request.body === undefined ? {} : { payload: request.body }),
      payloadAsStream: true,
    })
    const isProblem = String(answer.headers['content-type']).startsWith('application/problem+json')
    const { code = '' } = isProblem ? JSON.parse(await textOf(answer.stream())) : {}
    answer.stream().destroy()
    answers.push(answer.statusCode < 400 ? `${answer.statusCode}` : `${answer.statusCode} ${code}`)
  }
  return answers
}

const textOf = async (stream: AsyncIterable<Buffer>): Promise<string> => {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

const matchesRow = (t: Test, route: string, answers: readonly string[], row: Row): void => {
  for (const [i, caller] of CALLERS.entries()) {
    const expected = String(row[i])
    const answer = answers[i] ?? ''
    t.equal(expected.includes(' ') ? answer : answer.split(' ')[0], expected, `${route}: ${caller}`)
  }
}

const open = async (owner: string) => {
  const tokens = {
    author: await signLocalToken(TEST_SECRET, owner, 'Ada'),
    other: await signLocalToken(TEST_SECRET, 'bob', 'Bob'),
    admin: await signLocalToken(TEST_SECRET, 'root', 'Root', 'ADMIN'),
    nobody: null,
  }
  return tokens
}

const OWN_ONLY = '404 VIDEO_NOT_FOUND'
const NO_TOKEN = 401

t.test('the gateway', async (t) => {
  const pipeline = fakePipeline()
  const routes: Registered[] = []
  const app = Fastify()
  app.addHook('onRoute', (route) => void routes.push(route))
  await app.register(gateway, {
    localSignInSecret: TEST_SECRET,
    context: testContext(pipeline),
  })
  t.teardown(() => app.close())
  const known = await open(ADA)
  const stream = { fileName: 'a.mp4', title: 'A', visibility: 'PRIVATE' }
  const create = async () => {
    const headers = { authorization: `Bearer ${known.author}` }
    const answer = await app.inject({ method: 'POST', url: '/uploads', headers, payload: stream })
    return answer.json() as { uploadId: string; uploadToken: string }
  }
  const [mine, foreign] = [await create(), await create()]
  const tokens = { ...known, handle: mine.uploadToken, foreignHandle: foreign.uploadToken }
  const part = { partNumber: 1, sizeBytes: 5, checksumSha256: `${'A'.repeat(43)}=` }
  const { partNumber: _n, ...unnumbered } = { ...part, etag: 'e' }
  const upload = `/uploads/${mine.uploadId}`
  const video = `/videos/${mine.uploadId}`

  const table: Readonly<Record<string, { readonly url: string; readonly body?: object; readonly row: Row }>> = {
    'POST /uploads': { url: '/uploads', body: stream, row: [201, 201, 201, NO_TOKEN, NO_TOKEN, NO_TOKEN] },
    'GET /uploads/:uploadId/parts': { url: `${upload}/parts`, row: [200, 403, 200, NO_TOKEN, 200, 403] },
    'POST /uploads/:uploadId/parts/sign': {
      url: `${upload}/parts/sign`,
      body: { parts: [part] },
      row: [200, 403, 200, NO_TOKEN, 200, 403],
    },
    'POST /uploads/:uploadId/parts': {
      url: `${upload}/parts`,
      body: { parts: [{ ...part, etag: 'e' }] },
      row: [202, 403, 202, NO_TOKEN, 202, 403],
    },
    'PUT /uploads/:uploadId/parts/:partNumber': {
      url: `${upload}/parts/1`,
      body: unnumbered,
      row: [202, 403, 202, NO_TOKEN, 202, 403],
    },
    'POST /uploads/:uploadId/seal': {
      url: `${upload}/seal`,
      body: { partCount: 1, sizeBytes: 5 },
      row: [202, 403, 202, NO_TOKEN, 202, 403],
    },
    'DELETE /uploads/:uploadId': { url: upload, row: [202, 403, 202, NO_TOKEN, 202, 403] },
    'PATCH /videos/:videoId': {
      url: video,
      body: { title: 'B' },
      row: [202, OWN_ONLY, 202, NO_TOKEN, NO_TOKEN, NO_TOKEN],
    },
    'DELETE /videos/:videoId': { url: video, row: [202, OWN_ONLY, 202, NO_TOKEN, NO_TOKEN, NO_TOKEN] },
    // Whoever reaches it may be anybody: that is what it is for, and why it is switched on for one machine only.
    'POST /session': { url: '/session', body: { name: 'Ada' }, row: [200, 200, 200, 200, 200, 200] },
  }
  t.same(namesOf(routes), Object.keys(table).sort(), 'every route has a row')
  for (const [route, { row, ...request }] of Object.entries(table)) {
    matchesRow(t, route, await answersOf(app, tokens, { method: route.split(' ')[0] ?? '', ...request }), row)
  }
})

t.test('the API', async (t) => {
  const routes: Registered[] = []
  const { app, tell } = await startTestApi(t, { viewers: authenticator, onRoute: (route) => routes.push(route) })
  const { details } = fact('UploadStarted').data
  if (details === null) throw new TypeError('the example has details')
  const started = fact('UploadStarted', { authorId: ADA, details: { ...details, visibility: 'PRIVATE' } })
  await tell('mine', [started, fact('PartUploaded')])
  const handles = createUploadHandles('handle secret')
  const handleOf = (uploadId: string) =>
    handles.issue({ uploadId, authorId: ADA, s3UploadId: 's' }, Date.now() + 60_000)
  const tokens = { ...(await open(ADA)), handle: await handleOf('mine'), foreignHandle: await handleOf('foreign') }

  const anybody: Row = [200, 200, 200, 200, 200, 200]
  const privateVideo = (seen: Cell): Row => [seen, OWN_ONLY, seen, OWN_ONLY, 401, 401]
  const table: Readonly<Record<string, readonly [url: string, row: Row]>> = {
    'GET /videos': ['/videos?author=ada', [200, 200, 200, 200, 401, 401]],
    'GET /videos/:id': ['/videos/mine', privateVideo(200)],
    'GET /videos/:id/history': ['/videos/mine/history', privateVideo(200)],
    'GET /videos/:id/events': ['/videos/mine/events', privateVideo(200)],
    'GET /watch/:id/master.m3u8': ['/watch/mine/master.m3u8', privateVideo('404 NOT_PLAYABLE_YET')],
    'GET /watch/:id/*': ['/watch/mine/g1/video/720p/init.mp4', privateVideo('404 NOT_FOUND')],
    'GET /uploads': ['/uploads', [200, 200, 200, 401, 401, 401]],
    'GET /uploads/:id': ['/uploads/mine', [200, 404, 200, 404, 401, 401]],
    'GET /healthz': ['/healthz', anybody],
    'GET /readyz': ['/readyz', anybody],
  }
  // The pages of the documentation are for everybody, and of a plugin that is not ours.
  const own = namesOf(routes).filter((route) => !route.startsWith('GET /documentation'))
  t.same(own, Object.keys(table).sort(), 'every route has a row')
  for (const [route, [url, row]] of Object.entries(table)) {
    matchesRow(t, route, await answersOf(app, tokens, { method: 'GET', url }), row)
  }

  await t.test('and lists show only what is yours to see', async (t) => {
    const counted = async (url: string) => {
      const counts: number[] = []
      for (const token of [tokens.author, tokens.other, tokens.admin]) {
        const answer = await app.inject({ url, headers: { authorization: `Bearer ${token}` } })
        counts.push(answer.json().items.length)
      }
      return counts
    }
    t.same(await counted('/videos?author=ada'), [1, 0, 1])
    t.same(await counted('/uploads'), [1, 0, 0])
  })
})

t.test('claims at the door', async (t) => {
  const settings = { mediaBucket: examples.UploadStarted.bucket, importSources: ['archive for /trusted'] }
  const owner: Actor = { id: examples.UploadStarted.authorId, role: 'AUTHOR' }
  const other: Actor = { id: 'somebody-else', role: 'AUTHOR' }
  const admin: Actor = { id: 'ops', role: 'ADMIN' }
  const sized: VideoClaim = { type: 'UploadStarted', data: examples.UploadStarted }
  const stream: VideoClaim = {
    type: 'UploadStarted',
    data: { ...examples.UploadStarted, sizeBytes: null, partCount: null },
  }
  const details = examples.UploadStarted.details

  /** @param before the claim that is the video's past, if it has one; @param of the claim by that actor */
  const outcome = (before: VideoClaim | null, claim: VideoClaim, producer: string): string => {
    const video = before === null ? undefined : evolve(undefined, before as Parameters<typeof evolve>[1])
    const decision = decide({ videoId: EXAMPLE_VIDEO_ID, video, seen: false, producer }, claim, settings)
    return decision.kind === 'refused' ? decision.code : decision.kind
  }
  const change = { ...examples.VideoDetailsChanged, expectedRevision: null, revision: null }
  /**
   * What the owner, another author, an admin, and two foreign producers claim. Claims about parts name no actor: whoever
   * may write to the door may make them (SECURITY.md), and finish-upload believes none before S3 has confirmed it.
   */
  const table: Readonly<
    Record<VideoClaim['type'], { before: VideoClaim | null; by: (actor: Actor) => VideoClaim; row: readonly string[] }>
  > = {
    UploadStarted: { before: null, by: () => sized, row: ['admitted', 'admitted', 'admitted', 'admitted', 'admitted'] },
    PartUploaded: {
      before: sized,
      by: () => ({ type: 'PartUploaded', data: examples.PartUploaded }),
      row: ['admitted', 'admitted', 'admitted', 'admitted', 'admitted'],
    },
    UploadSealed: {
      before: stream,
      by: () => ({ type: 'UploadSealed', data: examples.UploadSealed }),
      row: ['admitted', 'admitted', 'admitted', 'admitted', 'admitted'],
    },
    UploadAbortRequested: {
      before: sized,
      by: (actor) => ({ type: 'UploadAbortRequested', data: { actor, reason: 'x' } }),
      row: ['admitted', 'NOT_OWNER', 'admitted', 'NOT_OWNER', 'NOT_OWNER'],
    },
    UploadCompleted: {
      before: null,
      by: ({ id: authorId }) => ({
        type: 'UploadCompleted',
        data: { ...examples.UploadCompleted, bucket: 'archive', objectKey: 'a.mp4', authorId, details },
      }),
      // The gateway makes no such claim; whoever else does is held to the places that are for him.
      row: ['SOURCE_NOT_ALLOWED', 'SOURCE_NOT_ALLOWED', 'SOURCE_NOT_ALLOWED', 'admitted', 'SOURCE_NOT_ALLOWED'],
    },
    VideoDetailsChanged: {
      before: sized,
      by: (actor) => ({ type: 'VideoDetailsChanged', data: { ...change, actor } }),
      row: ['admitted', 'NOT_OWNER', 'admitted', 'NOT_OWNER', 'NOT_OWNER'],
    },
    VideoDeleted: {
      before: sized,
      by: (actor) => ({ type: 'VideoDeleted', data: { actor } }),
      row: ['admitted', 'NOT_OWNER', 'admitted', 'NOT_OWNER', 'NOT_OWNER'],
    },
  }
  const claimants: readonly (readonly [string, Actor, string])[] = [
    ['the owner', owner, '/reelstream/gateway'],
    ['another author', other, '/reelstream/gateway'],
    ['an admin', admin, '/reelstream/gateway'],
    ['a producer that is trusted with a bucket', other, '/trusted'],
    ['a producer that is not', other, '/somebody'],
  ]
  t.same(Object.keys(table).sort(), Object.keys(videoIntake.events).sort(), 'every claim has a row')
  for (const [type, { before, by, row }] of Object.entries(table)) {
    for (const [i, [who, actor, producer]] of claimants.entries()) {
      t.equal(outcome(before, by(actor), producer), row[i], `${type}: ${who}`)
    }
  }

  await t.test('an upload goes to the key of its own video and to no other', async (t) => {
    const elsewhere = (data: Partial<typeof examples.UploadStarted>): VideoClaim => ({
      type: 'UploadStarted',
      data: { ...examples.UploadStarted, ...data },
    })
    for (const data of [{ bucket: 'archive' }, { objectKey: 'v/other/source' }]) {
      t.equal(outcome(null, elsewhere(data), '/reelstream/gateway'), 'OBJECT_NOT_ALLOWED')
    }
  })
})
