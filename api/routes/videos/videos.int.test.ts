import t from 'tap'
import { fact } from '../../../projections/testing/story.ts'
import { startTestApi } from '../../testing/test-api.ts'

const details = fact('UploadStarted').data.details
if (details === null) throw new TypeError('the example has details')
const begin = (changes: Partial<typeof details> = {}, authorId = 'ann') =>
  fact('UploadStarted', { authorId, details: { ...details, visibility: 'PUBLIC', ...changes } })
const completed = fact('UploadCompleted', { authorId: null, details: null })
const untilReady = [
  completed,
  fact('SourceProbed'),
  fact('TranscodePlanned', { generation: 1 }),
  fact('SegmentsTranscoded', { generation: 1, track: 'video' }),
  fact('RenditionTranscoded', { generation: 1 }),
  fact('PlaylistPublished', { generation: 1, complete: true }),
  fact('GenerationSelected', { generation: 1 }),
  fact('ThumbnailsExtracted', { generation: 1 }),
]
const bearer = (authorId: string) => ({ authorization: `Bearer ${authorId}` })

t.test('GET /videos/:id', async (t) => {
  const { app, tell } = await startTestApi(t)
  await tell('public', [begin({ title: 'Öffentlich “1”' }), ...untilReady])
  await tell('secret', [begin({ visibility: 'PRIVATE' }), completed])
  await tell('broken', [begin(), completed, fact('SourceRejected', { code: 'NO_VIDEO', detail: 'No picture.' })])
  await tell('gone', [begin(), completed, fact('VideoDeleted')])

  t.test('says everything that the watch page shows', async (t) => {
    const response = await app.inject('/videos/public')
    t.equal(response.statusCode, 200)
    t.match(response.headers['content-type'], 'application/json')
    const video = response.json()
    t.match(video, {
      videoId: 'public',
      title: 'Öffentlich “1”',
      description: String,
      author: details.author,
      tags: details.tags,
      visibility: 'PUBLIC',
      status: 'ready',
      playable: true,
      ready: true,
      durationMs: Number,
      masterUrl: '/watch/public/master.m3u8',
      posterUrl: /^\/watch\/.*\/thumbnails\/poster\.jpg$/,
      storyboardUrl: /storyboard\.vtt$/,
      renditions: [
        {
          name: String,
          width: Number,
          height: Number,
          codecs: String,
          frameRate: Number,
          peakBandwidthBps: Number,
          averageBandwidthBps: Number,
        },
      ],
      progress: { percent: 100 },
      revision: 1,
      createdAt: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/,
    })
    t.notOk('error' in video)
  })

  t.test('is not sent again to whoever has it', async (t) => {
    const { headers } = await app.inject('/videos/public')
    const again = await app.inject({ url: '/videos/public', headers: { 'if-none-match': String(headers.etag) } })
    t.match(again, { statusCode: 304, body: '' })
  })

  t.test('a rejected one says why', async (t) => {
    t.match((await app.inject('/videos/broken')).json(), {
      status: 'rejected',
      playable: false,
      masterUrl: null,
      error: { code: 'NO_VIDEO', message: 'No picture.' },
    })
  })

  t.test('a private or deleted one is there for its author only', async (t) => {
    for (const id of ['secret', 'gone']) {
      t.match((await app.inject(`/videos/${id}`)).json(), { status: 404, code: 'VIDEO_NOT_FOUND' })
      t.equal((await app.inject({ url: `/videos/${id}`, headers: bearer('bob') })).statusCode, 404)
      t.equal((await app.inject({ url: `/videos/${id}`, headers: bearer('ann') })).statusCode, 200)
    }
    t.match((await app.inject({ url: '/videos/gone', headers: bearer('ann') })).json(), {
      status: 'deleted',
      title: '',
    })
  })

  t.test('an unknown one is a problem with a code', async (t) => {
    const response = await app.inject('/videos/none')
    t.match(response.headers['content-type'], 'application/problem+json')
    t.match(response.json(), { status: 404, code: 'VIDEO_NOT_FOUND', title: 'Not Found' })
  })

  t.test('a bad token is told, not ignored', async (t) => {
    const response = await app.inject({ url: '/videos/public', headers: bearer('bad') })
    t.match(response.json(), { status: 401, code: 'UNAUTHENTICATED' })
  })
})

t.test('GET /videos', async (t) => {
  const { app, tell } = await startTestApi(t)
  for (let at = 0; at < 7; at++) await tell(`public-${at}`, [begin({ tags: [`tag-${at % 2}`] }), ...untilReady])
  await tell('unlisted', [begin({ visibility: 'UNLISTED' }), ...untilReady])
  await tell('uploading', [begin()])
  await tell('processing', [begin({}, 'bob'), completed])
  await tell('rejected', [begin(), completed, fact('SourceRejected')])
  await tell('gone', [begin(), fact('VideoDeleted')])
  const idsOf = async (url: string, headers = {}) => {
    const { items } = (await app.inject({ url, headers })).json() as { items: { videoId: string }[] }
    return items.map(({ videoId }) => videoId)
  }
  const newestFirst = [6, 5, 4, 3, 2, 1, 0].map((at) => `public-${at}`)

  t.test('shows what is public and can be played or soon will, newest first', async (t) => {
    t.same(await idsOf('/videos'), ['processing', ...newestFirst])
  })

  t.test('pages reach every video once', async (t) => {
    const seen: string[] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const page: { items: { videoId: string }[]; nextCursor: string | null } = (
        await app.inject(`/videos?limit=3${cursor === '' ? '' : `&cursor=${cursor}`}`)
      ).json()
      seen.push(...page.items.map(({ videoId }) => videoId))
      cursor = page.nextCursor
    }
    t.same(seen, ['processing', ...newestFirst])
  })

  t.test('filters by tag and status', async (t) => {
    t.same(await idsOf('/videos?tag=tag-1'), ['public-5', 'public-3', 'public-1'])
    t.same(await idsOf('/videos?status=processing'), ['processing'])
  })

  t.test('of an author: everything public, and everything to the author', async (t) => {
    t.same(await idsOf('/videos?author=ann'), ['uploading', ...newestFirst])
    t.same(await idsOf('/videos?author=ann', bearer('ann')), ['rejected', 'uploading', 'unlisted', ...newestFirst])
  })

  t.test('refuses what is no cursor and no limit, naming the field', async (t) => {
    t.match((await app.inject('/videos?cursor=nonsense')).json(), { status: 400, code: 'CURSOR_INVALID' })
    const response = (await app.inject('/videos?limit=1000')).json()
    t.match(response, { status: 400, code: 'VALIDATION_FAILED', errors: [{ field: 'limit' }] })
  })
})

t.test('after=', async (t) => {
  const { app, tell, log, database } = await startTestApi(t)
  await tell('video', [begin()])
  const claimOf = async (code: string | null) => (await database.db.outcome.findFirst({ where: { code } }))?.claimId

  t.test('a claim that came through is waited for and then included', async (t) => {
    const asking = app.inject('/videos/late?after=0:6')
    log.append('late', [begin({ title: 'Late' })])
    log.append('late', [completed, completed])
    t.match((await asking).json(), { title: 'Late', status: 'processing' })
    t.equal((await app.inject(`/videos/video?after=${await claimOf(null)}`)).statusCode, 200)
  })

  t.test('a refused claim is its refusal', async (t) => {
    await tell('video', [fact('ClaimRefused', { causeId: 'claim-x', code: 'UPLOAD_OPEN', detail: 'Not yet.' })])
    t.match((await app.inject('/videos/video?after=claim-x')).json(), {
      status: 409,
      code: 'UPLOAD_OPEN',
      detail: 'Not yet.',
    })
  })

  t.test('what does not come in time is 503, never an older value', async (t) => {
    const response = await app.inject('/videos/video?after=never')
    t.match(response.json(), { status: 503, code: 'NOT_YET_VISIBLE' })
    t.ok(response.headers['retry-after'])
  })
})

t.test('GET /videos/:id/history says the facts in order, page by page', async (t) => {
  const { app, tell } = await startTestApi(t)
  await tell('video', [begin(), ...untilReady])
  const first = (await app.inject('/videos/video/history?limit=4')).json()
  t.match(first, { nextAfterSeq: 4, items: [{ seq: 1, type: 'UploadStarted', video: { status: 'uploading' } }] })
  const rest = (await app.inject(`/videos/video/history?afterSeq=${first.nextAfterSeq}`)).json()
  t.equal(rest.items.length, 1 + untilReady.length - 4)
  t.match(rest, { nextAfterSeq: null })
  t.match(rest.items.at(-1), { type: 'ThumbnailsExtracted', position: /^0:\d+$/, video: { status: 'ready' } })
  t.equal((await app.inject('/videos/none/history')).statusCode, 404)
})

t.test('GET /uploads/:id says what is stored, to its author', async (t) => {
  const { app, tell } = await startTestApi(t)
  await tell('video', [begin(), fact('PartUploaded', { partNumber: 2 }), fact('PartUploaded', { partNumber: 1 })])
  const asked = (id: string, token?: string) =>
    app.inject({ url: `/uploads/${id}`, headers: token === undefined ? {} : bearer(token) })
  t.match((await asked('video', 'ann')).json(), {
    videoId: 'video',
    status: 'open',
    partSizeBytes: fact('UploadStarted').data.partSizeBytes,
    storedParts: 2,
    storedBytes: 2 * fact('PartUploaded').data.sizeBytes,
    code: null,
  })
  t.equal((await asked('video', 'admin')).statusCode, 200)
  const nothing = { status: 404, code: 'UPLOAD_NOT_FOUND' }
  t.match((await asked('video')).json(), nothing, 'anybody')
  t.match((await asked('video', 'bob')).json(), nothing)
  t.match((await asked('none', 'ann')).json(), nothing)
  t.match((await asked('video', 'bad')).json(), { status: 401, code: 'UNAUTHENTICATED' })
})

t.test('a part that was rejected is not stored any more', async (t) => {
  const { app, tell } = await startTestApi(t)
  const { etag, checksum } = fact('PartUploaded').data
  await tell('video', [begin(), fact('PartUploaded'), fact('PartRejected', { etag, checksum })])
  const expected = { status: 'open', storedParts: 0, storedBytes: 0 }
  t.match((await app.inject({ url: '/uploads/video', headers: bearer('ann') })).json(), expected)
  t.match((await app.inject({ url: '/uploads', headers: bearer('ann') })).json(), { items: [expected] })
})

t.test('GET /uploads: your own, newest first, and how far each is', async (t) => {
  const { app, tell } = await startTestApi(t)
  const parts = [fact('PartUploaded', { partNumber: 2 }), fact('PartUploaded', { partNumber: 1 })]
  const { partCount, sizeBytes } = fact('UploadStarted').data
  await tell('completed', [begin(), ...parts, fact('UploadCompleted', { authorId: null, details: null })])
  await tell('aborted', [begin(), ...parts, fact('UploadAborted', { code: 'UPLOAD_EXPIRED' })])
  await tell('foreign', [begin({}, 'bob')])
  await tell('deleted', [begin(), fact('UploadCompleted', { authorId: null, details: null }), fact('VideoDeleted')])
  await tell('stream', [fact('UploadStarted', { authorId: 'ann', partCount: null, sizeBytes: null }), ...parts])
  const list = async (query = '', token = 'ann') => {
    const answer = await app.inject({ url: `/uploads${query}`, headers: token === '' ? {} : bearer(token) })
    return { status: answer.statusCode, ...answer.json() }
  }
  const all = await list()
  t.match(all, {
    nextCursor: null,
    items: [
      { uploadId: 'stream', videoId: 'stream', status: 'open', sizeBytes: null, partCount: null, storedParts: 2 },
      { uploadId: 'aborted', status: 'aborted', code: 'UPLOAD_EXPIRED', storedParts: 0, storedBytes: 0 },
      { uploadId: 'completed', status: 'completed', storedParts: partCount, storedBytes: sizeBytes, code: null },
    ],
  })
  t.equal(all.items.length, 3)
  t.match(all.items[0], {
    title: String,
    createdAt: String,
    expiresAt: String,
    storedBytes: 2 * fact('PartUploaded').data.sizeBytes,
  })
  t.match(await list('?status=open'), { items: [{ uploadId: 'stream' }] })
  const first = await list('?limit=2')
  t.equal(first.items.length, 2)
  const rest = await list(`?limit=2&cursor=${first.nextCursor}`)
  t.match(rest, { items: [{ uploadId: 'completed' }], nextCursor: null })
  t.match(await list('', 'admin'), { items: [] }, 'an admin has none of his own here')
  t.match(await list('', ''), { status: 401, code: 'UNAUTHENTICATED' })
  t.match(await list('?cursor=nonsense'), { status: 400, code: 'CURSOR_INVALID' })
  t.match(await list('?status=lost'), { status: 400, code: 'VALIDATION_FAILED' })
})

t.test('the documentation describes the routes', async (t) => {
  const { app } = await startTestApi(t)
  const document = (await app.inject('/documentation/json')).json()
  t.match(document.openapi, /^3\.1/)
  for (const path of [
    '/videos/',
    '/videos/{id}/',
    '/videos/{id}/history/',
    '/uploads/',
    '/uploads/{id}/',
    '/watch/{id}/master.m3u8',
  ]) {
    t.ok(document.paths[path] ?? document.paths[path.replace(/\/$/, '')], path)
  }
})
