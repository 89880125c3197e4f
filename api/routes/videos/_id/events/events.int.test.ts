import t, { type Test } from 'tap'
import { fact } from '../../../../../projections/testing/story.ts'
import { startTestApi, type TestApi } from '../../../../testing/test-api.ts'

const details = fact('UploadStarted').data.details
if (details === null) throw new TypeError('the example has details')
const begun = [
  fact('UploadStarted', { details: { ...details, visibility: 'PUBLIC' } }),
  fact('UploadCompleted', { authorId: null, details: null }),
]
const planned = [
  fact('TranscodePlanned', { generation: 1 }),
  fact('SegmentsTranscoded', { generation: 1, track: 'video' }),
]
const complete = fact('PlaylistPublished', { generation: 1, complete: true })
const pictured = fact('ThumbnailsExtracted', { generation: 1 })

interface Received {
  readonly event: string
  readonly id: string
  readonly data: { readonly type?: string; readonly status: string; readonly percent: number }
}

/** Reads the stream of a real connection, event by event. */
const listenTo = async (t: Test, { app }: TestApi, url: string, headers: Record<string, string> = {}) => {
  if (app.server.address() === null) await app.listen({ host: '127.0.0.1', port: 0 })
  const address = app.server.address()
  if (address === null || typeof address === 'string') throw new TypeError('no port')
  const leave = new AbortController()
  t.teardown(() => leave.abort())
  const response = await fetch(`http://127.0.0.1:${address.port}${url}`, { headers, signal: leave.signal })
  const events = parse(response)
  return {
    response,
    next: async () => (await events.next()).value,
    async rest() {
      const all: Received[] = []
      for await (const each of events) all.push(each)
      return all
    },
  }
}

async function* parse(response: Response): AsyncGenerator<Received> {
  let text = ''
  for await (const chunk of response.body ?? []) {
    text += Buffer.from(chunk).toString()
    const blocks = text.split('\n\n')
    text = blocks.pop() ?? ''
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split('\n').map((line) => line.split(/: (.*)/s).slice(0, 2)))
      if (fields.event) yield { event: fields.event, id: fields.id, data: JSON.parse(fields.data) }
    }
  }
}

t.test('a video is told from its first fact to its end', async (t) => {
  const api = await startTestApi(t, { firstMomentMs: Date.now() })
  await api.tell('video', begun)
  const { response, next, rest } = await listenTo(t, api, '/videos/video/events')
  if (response.status !== 200) t.comment(await response.clone().text())
  t.match(response.headers.get('content-type'), 'text/event-stream')
  t.match(await next(), { event: 'fact', id: '0:0', data: { type: 'UploadStarted', status: 'uploading', percent: 0 } })
  t.match(await next(), { event: 'fact', id: '0:1', data: { type: 'UploadCompleted', status: 'processing' } })

  await api.tell('video', planned)
  t.match(await next(), { data: { type: 'TranscodePlanned', percent: 0 } })
  const progress = await next()
  t.match(progress, { data: { type: 'SegmentsTranscoded' } })
  t.ok((progress?.data.percent ?? 0) > 0, 'ticks count')

  t.match(progress, { data: { playable: false, masterUrl: null } })

  await api.tell('video', [complete])
  t.match(await next(), {
    event: 'fact',
    data: { type: 'PlaylistPublished', status: 'ready', percent: 100, masterUrl: '/watch/video/master.m3u8' },
  })
  await api.tell('video', [pictured])
  t.match(await rest(), [
    { event: 'fact', data: { type: 'ThumbnailsExtracted', status: 'ready' } },
    { event: 'status', data: { status: 'ready', ready: true } },
  ])
})

t.test('a ready video that gets no pictures is not waited for for ever', async (t) => {
  const halfAMinuteAgo = Date.now() - 36_000
  const api = await startTestApi(t, { firstMomentMs: halfAMinuteAgo })
  await api.tell('video', [...begun, ...planned, complete])
  const { rest } = await listenTo(t, api, '/videos/video/events')
  t.match((await rest()).at(-1), { event: 'status', data: { status: 'ready' } })
})

t.test('a client that was cut off goes on behind the last event that it saw', async (t) => {
  const api = await startTestApi(t)
  await api.tell('video', begun)
  await api.tell('video', [...planned, complete, pictured])
  const { rest } = await listenTo(t, api, '/videos/video/events', { 'last-event-id': '0:1' })
  const types = (await rest()).map(({ event, data }) => data.type ?? event)
  t.same(types, ['TranscodePlanned', 'SegmentsTranscoded', 'PlaylistPublished', 'ThumbnailsExtracted', 'status'])

  const again = await listenTo(t, api, '/videos/video/events?lastEventId=0:99')
  t.match(await again.rest(), [{ event: 'status', data: { status: 'ready' } }], 'after the end only the end is told')
})

t.test('a rejected video ends its stream with the reason', async (t) => {
  const api = await startTestApi(t)
  await api.tell('video', [...begun, fact('SourceRejected', { code: 'NO_VIDEO', detail: 'No picture.' })])
  const { rest } = await listenTo(t, api, '/videos/video/events')
  t.match((await rest()).at(-1), {
    event: 'status',
    data: { status: 'rejected', error: { code: 'NO_VIDEO', message: 'No picture.' } },
  })
})

t.test('events go on after PostgreSQL has cut the listener off', async (t) => {
  const api = await startTestApi(t)
  await api.tell('video', begun)
  const { next } = await listenTo(t, api, '/videos/video/events')
  await next()
  await next()
  await api.database.pg.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'",
  )
  await api.tell('video', planned)
  t.match(await next(), { data: { type: 'TranscodePlanned' } })
})

t.test('a server that closes ends its streams', async (t) => {
  const api = await startTestApi(t)
  await api.tell('video', begun)
  const { next, rest } = await listenTo(t, api, '/videos/video/events')
  await next()
  await api.app.close()
  t.match(await rest(), [{ event: 'fact' }])
})

t.test('an unknown video has no events', async (t) => {
  const { app } = await startTestApi(t)
  t.match((await app.inject('/videos/none/events')).json(), { status: 404, code: 'VIDEO_NOT_FOUND' })
})
