/**
 * A stand-in for API and gateway, so that the pages can be tested alone: in seconds, in states that are hard to bring
 * about (half encoded, rejected, gone), and without the servers. It keeps videos in memory and speaks the documented
 * JSON; playlists and segments are real.
 */
import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { PassThrough } from 'node:stream'
import fastify, { type FastifyInstance } from 'fastify'
import { examples } from '../../../schemas/examples.ts'
import type { Fact, Video } from '../../../web/api-client.ts'
import web from '../../../web/plugin.ts'
import { type FakeHls, growingPlaylist } from './hls.ts'

type FactType = keyof typeof examples

export interface FakeProduct {
  readonly url: string
  /** Adds a video, or changes one. */
  put(video: Partial<Video> & { readonly videoId: string }): void
  /** Appends a fact to the history of a video and tells whoever follows it. */
  say(videoId: string, type: FactType, body?: object): void
  /** How many segments the playlists show; null = all, and the end. */
  reveal(videoId: string, segments: number | null): void
  /** Ids of all videos, oldest first. */
  ids(): readonly string[]
  /** Requests that were answered with an error of the fake itself: paths that the product does not have. */
  readonly unknownPaths: readonly string[]
  /** Parts that were sent to the object store. */
  puts: number
  close(): Promise<void>
}

interface Entry {
  video: Video
  facts: Fact[]
  segments: number | null
  readonly followers: Set<PassThrough>
}

const START = Date.now() - 90_000

/** Of the uploads that it takes. */
export const PART_BYTES = 256 * 1024

export const startFakeProduct = async (hls: FakeHls): Promise<FakeProduct> => {
  const entries = new Map<string, Entry>()
  const unknownPaths: string[] = []
  const app = fastify({ forceCloseConnections: true })
  const product: FakeProduct = {
    url: '',
    unknownPaths,
    puts: 0,
    ids: () => [...entries.keys()],
    put(change) {
      const before = entries.get(change.videoId)
      const video = { ...(before?.video ?? newVideo(change.videoId)), ...change }
      entries.set(change.videoId, { ...(before ?? newEntry()), video })
    },
    say(videoId, type, body = examples[type]) {
      const entry = entries.get(videoId)
      if (entry === undefined) throw new Error(`no video ${videoId}`)
      const fact = newFact(type, body, entry.facts)
      entry.facts = [...entry.facts, fact]
      for (const follower of entry.followers) {
        follower.write(frame(entry, fact))
        if (isAsItWillStay(entry.video)) follower.end(lastFrame(entry))
      }
    },
    reveal(videoId, segments) {
      const entry = entries.get(videoId)
      if (entry !== undefined) entries.set(videoId, { ...entry, segments })
    },
    close: () => app.close(),
  }
  await app.register(web, { storageOrigins: [] })
  serveReads(app, entries)
  serveMedia(app, entries, hls)
  serveUploads(app, entries, product)
  app.setNotFoundHandler((request, reply) => {
    unknownPaths.push(request.url)
    return refuse(reply, 404, 'NOT_FOUND', 'There is nothing here.')
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return Object.assign(product, { url: `http://localhost:${(app.server.address() as AddressInfo).port}` })
}

const newEntry = (): Omit<Entry, 'video'> => ({ facts: [], segments: null, followers: new Set() })

const newVideo = (videoId: string): Video => ({
  videoId,
  title: 'Crossing the Sarek in winter',
  description: '',
  author: 'Inga Lindqvist',
  tags: [],
  visibility: 'PUBLIC',
  status: 'ready',
  playable: true,
  ready: true,
  durationMs: 12_000,
  masterUrl: `/watch/${videoId}/master.m3u8`,
  posterUrl: `/watch/${videoId}/poster.jpg`,
  storyboardUrl: `/watch/${videoId}/storyboard.vtt`,
  progress: { percent: 100 },
  createdAt: new Date(START).toISOString(),
  renditions: [],
  audio: [],
  authorId: 'author-1',
})

const newFact = (type: FactType, body: object, before: readonly Fact[]): Fact => ({
  seq: before.length + 1,
  position: `0:${100 + before.length * 3}`,
  eventId: `event-${before.length + 1}`,
  type,
  recordedAt: new Date(START + before.length * 730).toISOString(),
  causeId: before.length === 0 ? null : `event-${before.length}`,
  body: { ...body },
})

const FINAL: ReadonlySet<string> = new Set(['ready', 'rejected', 'failed', 'deleted'])

const isAsItWillStay = ({ status, posterUrl }: Video): boolean =>
  FINAL.has(status) && (status !== 'ready' || posterUrl !== null)

const frame = ({ video }: Entry, { type, recordedAt, position }: Fact): string =>
  `event: fact\nid: ${position}\ndata: ${JSON.stringify({ type, recordedAt, ...stateOf(video) })}\n\n`

const lastFrame = ({ video }: Entry): string => `event: status\ndata: ${JSON.stringify(stateOf(video))}\n\n`

const stateOf = ({ status, playable, ready, masterUrl, durationMs, progress, error }: Video) => ({
  status,
  playable,
  ready,
  masterUrl,
  durationMs,
  percent: progress.percent,
  ...(error && { error }),
})

interface Reply {
  code(status: number): Reply
  type(contentType: string): Reply
  send(body: unknown): Reply
}

const refuse = (reply: Reply, status: number, code: string, detail: string) =>
  reply.code(status).type('application/problem+json').send({ type: 'about:blank', title: code, status, code, detail })

type IdParams = { readonly Params: { readonly id: string } }

const serveReads = (app: FastifyInstance, entries: ReadonlyMap<string, Entry>): void => {
  app.get('/videos', async () => ({ items: [...entries.values()].map(({ video }) => video), nextCursor: null }))
  app.get<IdParams>('/videos/:id', async ({ params }, reply) => {
    const entry = entries.get(params.id)
    return entry?.video ?? refuse(reply, 404, 'VIDEO_NOT_FOUND', 'There is no such video.')
  })
  app.get<IdParams & { Querystring: { afterSeq: string } }>('/videos/:id/history', async ({ params, query }, reply) => {
    const entry = entries.get(params.id)
    if (entry === undefined) return refuse(reply, 404, 'VIDEO_NOT_FOUND', 'There is no such video.')
    return { items: entry.facts.filter(({ seq }) => seq > Number(query.afterSeq)), nextAfterSeq: null }
  })
  app.get<IdParams>('/videos/:id/events', async ({ params, headers }, reply) => {
    const entry = entries.get(params.id)
    if (entry === undefined) return refuse(reply, 404, 'VIDEO_NOT_FOUND', 'There is no such video.')
    const after = entry.facts.findIndex(({ position }) => position === headers['last-event-id'])
    const stream = new PassThrough()
    for (const fact of entry.facts.slice(after + 1)) stream.write(frame(entry, fact))
    if (isAsItWillStay(entry.video)) stream.end(lastFrame(entry))
    entry.followers.add(stream)
    stream.once('close', () => entry.followers.delete(stream))
    return reply.type('text/event-stream').send(stream)
  })
}

const TYPES: Readonly<Record<string, string>> = {
  '.m3u8': 'application/vnd.apple.mpegurl',
  '.m4s': 'video/mp4',
  '.mp4': 'video/mp4',
  '.jpg': 'image/jpeg',
  '.vtt': 'text/vtt',
}

const serveMedia = (app: FastifyInstance, entries: ReadonlyMap<string, Entry>, hls: FakeHls): void => {
  app.get<{ Params: { id: string; file: string } }>('/watch/:id/:file', async ({ params }, reply) => {
    const file = path.join(hls.folder, path.basename(params.file))
    void reply.type(TYPES[path.extname(file)] ?? 'application/octet-stream').header('cache-control', 'no-cache')
    if (params.file === 'master.m3u8') return withoutSoundAlone(await readFile(file, 'utf8'))
    if (params.file.endsWith('.m3u8')) return growingPlaylist(file, entries.get(params.id)?.segments ?? null)
    return createReadStream(file)
  })
}

/** ffmpeg lists the sound as a variant of its own, which ours does not. */
const withoutSoundAlone = (master: string): string =>
  master.replaceAll(/#EXT-X-STREAM-INF:[^\n]*CODECS="mp4a[^\n]*\n[^\n]*\n/g, '')

interface FakeUpload {
  readonly videoId: string
  readonly sizeBytes: number
  readonly parts: Map<number, { readonly partNumber: number; readonly sizeBytes: number }>
  status: 'open' | 'completed' | 'aborted'
}

const serveUploads = (app: FastifyInstance, entries: ReadonlyMap<string, Entry>, product: FakeProduct): void => {
  const uploads = new Map<string, FakeUpload>()
  const ofKey = new Map<string, FakeUpload>()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.post<{ Body: { name: string } }>('/session', async () => ({ token: 'fake-token', authorId: 'author-1' }))
  app.post<{ Body: { title: string; sizeBytes: number } }>('/uploads', async ({ body, headers }, reply) => {
    if (headers.authorization !== 'Bearer fake-token') return refuse(reply, 401, 'UNAUTHENTICATED', 'Sign in first.')
    if (body.sizeBytes === 0) return refuse(reply, 422, 'EMPTY_FILE', 'The file is empty.')
    const key = String(headers['idempotency-key'])
    const upload = ofKey.get(key) ?? newUpload(`upload-${entries.size + 1}`, body.sizeBytes)
    const { videoId, sizeBytes, status } = upload
    if (!ofKey.has(key)) {
      ofKey.set(key, upload)
      uploads.set(videoId, upload)
      product.put({ ...pending, ...body, videoId })
      product.say(videoId, 'UploadStarted')
    }
    return reply.code(201).send({
      videoId,
      uploadId: videoId,
      status,
      partSizeBytes: PART_BYTES,
      partCount: Math.ceil(sizeBytes / PART_BYTES),
      uploadToken: 'fake-upload-token',
      claimId: 'claim',
      expiresAtMs: Date.now() + 1e6,
      watchUrl: `/v/${videoId}`,
    })
  })
  app.post<IdParams & { Body: { parts: { partNumber: number }[] } }>(
    '/uploads/:id/parts/sign',
    async ({ params, body }) => ({
      parts: body.parts.map(({ partNumber }) => ({
        partNumber,
        url: `${storeOf(app)}/store/${params.id}/${partNumber}`,
        headers: {},
      })),
    }),
  )
  app.put<IdParams & { Body: Buffer }>('/store/:id/:part', async (_request, reply) => {
    product.puts += 1
    return reply.header('etag', '"etag"').send()
  })
  app.post<IdParams & { Body: { parts: { partNumber: number; sizeBytes: number }[] } }>(
    '/uploads/:id/parts',
    async ({ params, body }, reply) => {
      for (const part of body.parts) {
        uploads.get(params.id)?.parts.set(part.partNumber, part)
        product.say(params.id, 'PartUploaded', part)
      }
      return reply.code(202).send({ parts: body.parts.map(({ partNumber }) => ({ partNumber, claimId: 'claim' })) })
    },
  )
  app.get<IdParams>('/uploads/:id/parts', async ({ params }, reply) => {
    const upload = uploads.get(params.id)
    if (upload === undefined) return refuse(reply, 404, 'UPLOAD_NOT_FOUND', 'There is no such upload.')
    const { status, sizeBytes, parts } = upload
    if (status === 'open' && storedBytesOf(upload) === sizeBytes) {
      upload.status = 'completed'
      product.put({ videoId: params.id, status: 'processing' })
      product.say(params.id, 'UploadCompleted')
    }
    const ascending = [...parts.values()].sort((a, b) => a.partNumber - b.partNumber)
    return { status: upload.status, rejections: 0, sizeBytes, parts: ascending, nextPart: null }
  })
  app.get<IdParams>('/uploads/:id', async ({ params }, reply) => {
    const upload = uploads.get(params.id)
    if (upload === undefined) return refuse(reply, 404, 'UPLOAD_NOT_FOUND', 'There is no such upload.')
    return { uploadId: params.id, status: upload.status, storedBytes: storedBytesOf(upload) }
  })
  app.delete<IdParams>('/uploads/:id', async ({ params }, reply) => {
    const upload = uploads.get(params.id)
    if (upload !== undefined) upload.status = 'aborted'
    return reply.code(202).send({ claimId: 'claim' })
  })
}

const storedBytesOf = ({ parts }: FakeUpload): number =>
  [...parts.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)

const newUpload = (videoId: string, sizeBytes: number): FakeUpload => ({
  videoId,
  sizeBytes,
  parts: new Map(),
  status: 'open',
})

const storeOf = (app: FastifyInstance): string => `http://localhost:${(app.server.address() as AddressInfo).port}`

const pending = {
  status: 'uploading',
  playable: false,
  ready: false,
  durationMs: null,
  masterUrl: null,
  posterUrl: null,
  storyboardUrl: null,
  progress: { percent: 0 },
} as const
