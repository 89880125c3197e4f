import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import { silentLogger } from '../../platform/log.ts'
import { createTestDatabase } from '../../prisma/testing.ts'
import { superviseProjections } from '../../projections/engine/supervise.ts'
import { createMemoryLog, decodeJson } from '../../projections/testing/memory-log.ts'
import { fact } from '../../projections/testing/story.ts'
import { waitUntil } from '../../projections/testing/wait-until.ts'
import { videoCatalogue } from '../../projections/video-catalogue/projection.ts'
import { migrateSql } from '../../scripts/migrate/sql.ts'
import { createMultipart, listMultipartUploads, type MultipartRef } from '../../storage/multipart.ts'
import { headObject } from '../../storage/read-object.ts'
import { scratchBucket } from '../../storage/testing/scratch-bucket.ts'
import { putOnce } from '../../storage/write-once.ts'
import type { ClaimProducer } from '../claim-producer.ts'
import { type Found, type ReconcileOptions, reconcile } from './reconcile.ts'
import { prismaReconcileReads } from './reconcile-reads.ts'

/** The reconciler on a real S3 server and a real PostgreSQL that the real video-catalogue fills from a log in memory. */
const HOUR_MS = 3_600_000

const openWorld = async (t: Test) => {
  const { s3, presigner, bucket } = await scratchBucket()
  const database = await createTestDatabase((url) => migrateSql(url, silentLogger))
  const log = createMemoryLog(1)
  const supervisor = superviseProjections({
    db: database.db,
    reader: log.reader,
    decode: decodeJson,
    projections: [videoCatalogue],
    partitionsOf: () => 1,
    connect: database.connect,
    log: silentLogger,
  })
  t.teardown(async () => {
    await supervisor.stop()
    await database.close()
    s3.destroy()
    presigner.destroy()
  })
  const claimed: { readonly type: string; readonly videoId: string; readonly id: string }[] = []
  const claims: ClaimProducer = {
    claim: async (type, videoId, _data, { id }) => {
      claimed.push({ type, videoId, id })
      return { claimId: id }
    },
  }
  const horizon = { reached: true, asked: 0 }
  const world = {
    s3,
    bucket,
    reads: prismaReconcileReads(database.db),
    horizon: {
      isReached: async () => {
        horizon.asked += 1
        return horizon.reached
      },
    },
    claims,
    clock: { now: Date.now },
  }
  const run = async (options: Partial<ReconcileOptions> = {}) => {
    const found: Found[] = []
    const patience = { graceMs: 0, retentionMs: HOUR_MS, playlistsForMs: Number.POSITIVE_INFINITY, dryRun: false }
    const report = await reconcile(world, { ...patience, ...options, onFound: (each) => found.push(each) })
    return { report, found }
  }
  return {
    s3,
    bucket,
    claimed,
    horizon,
    run,
    tell: async (...told: Parameters<typeof log.append>) => {
      log.append(...told)
      const { end } = await log.reader.offsets('', 0)
      await waitUntil('the facts are folded', () => BigInt(supervisor.status().detail[0]?.position ?? -1) >= end)
    },
    begin: (videoId: string): Promise<MultipartRef> =>
      createMultipart(s3, { bucket, key: `v/${videoId}/source`, contentType: 'video/mp4' }),
    putSource: (videoId: string, name = 'source') =>
      putOnce(s3, {
        bucket,
        key: `v/${videoId}/${name}`,
        body: randomBytes(10),
        contentType: 'video/mp4',
        cacheControl: 'no-store',
      }),
    exists: async (videoId: string, name = 'source') =>
      (await headObject(s3, { bucket, key: `v/${videoId}/${name}` })) !== null,
    async multiparts() {
      const keys: string[] = []
      for await (const { uploadId } of listMultipartUploads(s3, { bucket, prefix: '' })) keys.push(uploadId)
      return keys.sort()
    },
  }
}

const started = ({ bucket, key, uploadId }: MultipartRef) =>
  fact('UploadStarted', { bucket, objectKey: key, s3UploadId: uploadId })

t.test('multiparts that no open upload names are aborted, and those of open uploads stand', async (t) => {
  const { begin, tell, run, multiparts, horizon } = await openWorld(t)
  const open = await begin('open')
  await tell('open', [started(open)])
  await begin('open') // lost against the other
  const aborted = await begin('aborted')
  await tell('aborted', [started(aborted), fact('UploadAborted')])
  await begin('nobody')

  const dry = await run({ dryRun: true })
  t.equal((await multiparts()).length, 4, 'a dry run does nothing')
  const { report, found } = await run()
  t.same(await multiparts(), [open.uploadId])
  t.match(report, { multiparts: 4, done: 3, failed: 0, complete: true })
  t.same(
    dry.found.map(({ finding }) => finding),
    found.map(({ finding }) => finding),
    'and says exactly what a run does',
  )
  t.ok(horizon.asked > 0)
  t.match((await run()).report, { multiparts: 1, done: 0 }, 'done again it finds nothing')
})

t.test(
  'what nothing is recorded of is left while the read model is behind the log, and while it is young',
  async (t) => {
    const { begin, run, multiparts, horizon } = await openWorld(t)
    const { uploadId } = await begin('nobody')
    horizon.reached = false
    t.match(await run(), { report: { done: 0, left: 1 }, found: [{ finding: { why: /behind the log/ } }] })
    horizon.reached = true
    t.match(await run({ graceMs: HOUR_MS }), { found: [{ finding: { why: /younger/ } }] })
    t.same(await multiparts(), [uploadId])
  },
)

t.test('two reconcilers at once do no harm to each other', async (t) => {
  const { begin, tell, run, multiparts } = await openWorld(t)
  const open = await begin('open')
  await tell('open', [started(open)])
  for (let n = 0; n < 20; n++) await begin(`nobody-${n}`)
  const reports = await Promise.all([run(), run()])
  t.same(await multiparts(), [open.uploadId])
  t.same(
    reports.map(({ report }) => report.failed),
    [0, 0],
  )
})

t.test('objects are deleted when the log says that their video is over, and only then', async (t) => {
  const { tell, run, putSource, exists, begin } = await openWorld(t)
  const ref = await begin('any')
  const fate: Record<string, Parameters<typeof tell>[1]> = {
    ready: [started(ref), fact('UploadCompleted', { authorId: null, details: null })],
    aborted: [started(ref), fact('UploadAborted')],
    deleted: [started(ref), fact('UploadCompleted', { authorId: null, details: null }), fact('VideoDeleted')],
  }
  for (const [videoId, facts] of Object.entries(fate)) await tell(videoId, facts)
  for (const videoId of [...Object.keys(fate), 'unknown']) await putSource(videoId)
  await putSource('deleted', 'g1/video/720p/init.mp4')

  t.match((await run({ retentionMs: 1e15 })).report, { failed: 0 })
  t.ok(await exists('deleted'), 'kept for a while')
  t.notOk(await exists('aborted'))
  await run()
  t.notOk(await exists('deleted'))
  t.notOk(await exists('deleted', 'g1/video/720p/init.mp4'))
  t.ok(await exists('ready'))
  t.ok(await exists('unknown'), 'what nothing is recorded of')
})

t.test('playlists that newer ones have taken the place of are deleted, encode by encode', async (t) => {
  const { tell, run, putSource, exists, begin } = await openWorld(t)
  const published = (generation: number, revision: number) =>
    fact('PlaylistPublished', { generation, revision, masterKey: `v/film/g${generation}/r${revision}/master.m3u8` })
  const complete = fact('UploadCompleted', { authorId: null, details: null })
  await tell('film', [started(await begin('film')), complete, published(1, 1), published(1, 2), published(2, 1)])
  const superseded = ['g1/r1/master.m3u8', 'g1/r1/video-720p.m3u8']
  const kept = ['g1/r2/master.m3u8', 'g1/r2/iframe-720p.m3u8', 'g1/r3/master.m3u8', 'g2/r1/master.m3u8', 'source']
  for (const name of [...superseded, ...kept]) await putSource('film', name)

  t.match((await run({ graceMs: 1e15 })).report, { done: 0 }, 'not at once')
  const { found } = await run()
  t.same(
    found.map(({ finding, outcome }) => `${finding.kind} ${outcome}`),
    ['abort-multipart done', 'delete-playlists done'],
  )
  for (const name of superseded) t.notOk(await exists('film', name), name)
  for (const name of kept) t.ok(await exists('film', name), name)
  t.match((await run()).report, { done: 0 })
})

t.test('is ended between two actions', async (t) => {
  const { begin, run, multiparts } = await openWorld(t)
  for (let n = 0; n < 5; n++) await begin(`nobody-${n}`)
  const stop = new AbortController()
  const { report } = await run({ signal: stop.signal, onProgress: () => stop.abort() })
  t.match(report, { done: 0, complete: false })
  t.equal((await multiparts()).length, 5)
})
