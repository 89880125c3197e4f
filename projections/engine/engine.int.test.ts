import { setImmediate as turn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { silentLogger } from '../../platform/log.ts'
import { createTestDatabase, type TestDatabase } from '../../prisma/testing.ts'
import { migrateSql } from '../../scripts/migrate/sql.ts'
import { projections } from '../index.ts'
import { createMemoryLog, decodeJson, type MemoryLog } from '../testing/memory-log.ts'
import { fact } from '../testing/story.ts'
import { waitUntil } from '../testing/wait-until.ts'
import { videoCatalogue } from '../video-catalogue/projection.ts'
import { POSITION_CHANNEL } from './commit-batch.ts'
import type { Projection } from './projection.ts'
import { type RebuildOptions, rebuild } from './rebuild.ts'
import { type Supervisor, superviseProjections } from './supervise.ts'
import { hashOf } from './table-hash.ts'
import { findVersion, rollBack } from './versions.ts'

const PARTITIONS = 2
const migrate = (url: string) => migrateSql(url, silentLogger)

const aVideo = [
  fact('UploadStarted'),
  fact('PartUploaded'),
  fact('UploadCompleted', { authorId: null, details: null }),
  fact('SourceProbed'),
  fact('TranscodePlanned', { generation: 1 }),
  fact('SegmentsTranscoded', { generation: 1, track: 'video' }),
  fact('RenditionTranscoded', { generation: 1 }),
  fact('PlaylistPublished', { generation: 1, complete: true }),
  fact('GenerationSelected', { generation: 1 }),
]

const aLog = (videos: number): MemoryLog => {
  const log = createMemoryLog(PARTITIONS)
  for (let at = 0; at < videos; at++) log.append(`video-${at}`, aVideo)
  return log
}

const supervise = (t: Test, { db, connect }: TestDatabase, log: MemoryLog): Supervisor => {
  const supervisor = superviseProjections({
    db,
    reader: log.reader,
    decode: decodeJson,
    projections,
    partitionsOf: () => log.partitions,
    connect,
    log: silentLogger,
  })
  t.teardown(() => supervisor.stop())
  return supervisor
}

const aDatabase = async (t: Test): Promise<TestDatabase> => {
  const database = await createTestDatabase(migrate)
  t.teardown(() => database.close())
  return database
}

const hashes = async ({ pg }: TestDatabase): Promise<Record<string, string>> => {
  const found: Record<string, string> = {}
  for (const projection of projections as readonly Projection[]) {
    const version = await findVersion(pg, projection, 'live')
    for (const table of Object.keys(projection.tables)) {
      found[table] = (await hashOf(projection, table, { pg, version })).hash
    }
  }
  return found
}

const allRead = (supervisor: Supervisor, log: MemoryLog) =>
  waitUntil('all is read', async () => {
    const { ready, detail } = supervisor.status()
    const ends = await Promise.all([...Array(PARTITIONS).keys()].map((at) => log.reader.offsets('', at)))
    return ready && detail.every(({ partition, position }) => BigInt(position) === ends[partition]?.end)
  })

t.test('migrating again changes nothing', async (t) => {
  const database = await aDatabase(t)
  await migrate(database.url)
  t.same(await database.db.video.findMany(), [])
  t.same(await database.db.videoHistory.findMany(), [])
})

t.test('facts become rows, once, and whoever listens is woken', async (t) => {
  const database = await aDatabase(t)
  const notices: string[] = []
  database.pg.on('notification', ({ payload }) => notices.push(payload ?? ''))
  await database.pg.query(`LISTEN ${POSITION_CHANNEL}`)
  const log = aLog(3)
  const supervisor = supervise(t, database, log)
  await allRead(supervisor, log)

  const videos = await database.db.video.findMany({
    include: { renditions: true, upload: { include: { parts: true } } },
  })
  t.equal(videos.length, 3)
  for (const video of videos) {
    t.match(video, { status: 'ready', playable: true, renditions: [{ name: '720p' }], upload: { status: 'completed' } })
    t.equal(video.upload?.parts.length, 1)
  }
  t.equal(await database.db.videoHistory.count(), 3 * aVideo.length)
  await waitUntil('a notice of each projection came', () =>
    projections.every(({ name }) => notices.some((notice) => notice.includes(name))),
  )
  t.ok(notices.every((notice) => notice.length <= 200))
})

t.test('the last snapshot of the history is the live row', async (t) => {
  const database = await aDatabase(t)
  const log = aLog(3)
  await allRead(supervise(t, database, log), log)
  const { rows } = await database.pg.query<{ differing: number }>(`
    SELECT count(*)::int AS differing FROM video_catalogue_v1.videos v
    LEFT JOIN LATERAL (SELECT snapshot FROM read.video_history h WHERE h.video_id = v.id ORDER BY seq DESC LIMIT 1) h ON true
    WHERE h.snapshot ->> 'status' IS DISTINCT FROM v.status
       OR (h.snapshot ->> 'version')::bigint IS DISTINCT FROM v.version
       OR h.snapshot -> 'generations' IS DISTINCT FROM v.generations
       OR h.snapshot ->> 'title' IS DISTINCT FROM v.title
       OR (h.snapshot ->> 'updatedAt')::timestamptz IS DISTINCT FROM v.updated_at
       OR (h.snapshot ->> 'finishedTicks')::bigint IS DISTINCT FROM v.finished_ticks`)
  t.equal(rows[0]?.differing, 0)
})

t.test('two processes at once write every fact once', async (t) => {
  const database = await aDatabase(t)
  const log = aLog(0)
  const both = [supervise(t, database, log), supervise(t, database, log)]
  for (let at = 0; at < 10; at++) {
    log.append(`video-${at}`, aVideo)
    await turn()
  }
  await waitUntil('all history is there', async () => (await database.db.videoHistory.count()) >= 10 * aVideo.length)
  const seqs = await database.db.videoHistory.groupBy({ by: ['videoId'], _count: true, _max: { seq: true } })
  t.equal(seqs.length, 10)
  for (const { _count, _max } of seqs) t.same([_count, _max.seq], [aVideo.length, aVideo.length])
  await Promise.all(both.map((each) => each.stop()))
})

t.test('an emptied database is filled from the log alone, equal to the last byte', async (t) => {
  const log = aLog(4)
  const first = await aDatabase(t)
  await allRead(supervise(t, first, log), log)
  const second = await aDatabase(t)
  await allRead(supervise(t, second, log), log)
  t.same(await hashes(second), await hashes(first))
})

const doRebuild = async (
  database: TestDatabase,
  log: MemoryLog,
  options: Pick<RebuildOptions, 'verify' | 'confirm'>,
  projection: Projection = videoCatalogue,
) =>
  rebuild(
    {
      db: database.db,
      reader: log.reader,
      decode: decodeJson,
      pg: await database.connect(),
      snapshot: await database.connect(),
      partitions: log.partitions,
    },
    projection,
    { ...options, signal: new AbortController().signal },
  )

t.test('a rebuild equals the live version and takes its place while it is being read', async (t) => {
  const database = await aDatabase(t)
  const log = aLog(5)
  const supervisor = supervise(t, database, log)
  await allRead(supervisor, log)

  const reading = new AbortController()
  let reads = 0
  let halfFilled = 0
  const readers = Array.from({ length: 3 }, async () => {
    while (!reading.signal.aborted) {
      const videos = await database.db.video.findMany({ include: { renditions: true } })
      if (videos.length < 5) halfFilled++
      reads++
      await turn()
    }
  })
  const result = await doRebuild(database, log, { verify: true, confirm: async (found) => found?.equal === true })
  t.match(result, { swapped: true, version: 2, verification: { equal: true, differences: [] } })
  reading.abort()
  await Promise.all(readers)
  t.ok(reads > 0)
  t.equal(halfFilled, 0, 'nobody ever sees a half-filled catalogue')

  log.append('video-after', aVideo)
  const isShown = async () => (await database.db.video.findUnique({ where: { id: 'video-after' } })) !== null
  await waitUntil('the new version is fed', isShown)
  await allRead(supervisor, log)
  t.equal(await rollBack(database.pg, videoCatalogue), 1)
  t.ok(await isShown(), 'the old one was fed on')
})

t.test('a row that nobody can explain by the log is found and named', async (t) => {
  const database = await aDatabase(t)
  const log = aLog(3)
  await allRead(supervise(t, database, log), log)
  await database.pg.query("UPDATE video_catalogue_v1.videos SET title = 'by hand' WHERE id = 'video-1'")
  await database.pg.query("DELETE FROM video_catalogue_v1.renditions WHERE video_id = 'video-2'")

  const result = await doRebuild(database, log, { verify: true, confirm: async (found) => found?.equal === true })
  t.match(result, { swapped: false, verification: { equal: false } })
  const differences = result.verification?.differences ?? []
  t.match(
    differences.map(({ table, key, live }) => [table, key, live === null ? null : JSON.parse(live).title]),
    [
      ['videos', '["video-1"]', 'by hand'],
      ['renditions', /video-2/, null],
    ],
  )
  t.equal(await findVersion(database.pg, videoCatalogue, 'live'), 1)
  await t.rejects(findVersion(database.pg, videoCatalogue, 'building'), { code: 'NO_SUCH_VERSION' })
})

t.test('only one rebuild of a projection runs at a time', async (t) => {
  const database = await aDatabase(t)
  const log = aLog(1)
  await allRead(supervise(t, database, log), log)
  const { promise: held, resolve: release } = Promise.withResolvers<boolean>()
  const { promise: asked, resolve: ask } = Promise.withResolvers<void>()
  const confirm = () => {
    ask()
    return held
  }
  const first = doRebuild(database, log, { verify: false, confirm })
  await asked
  await t.rejects(doRebuild(database, log, { verify: false, confirm: async () => true }), { code: 'REBUILD_RUNNING' })
  release(true)
  t.match(await first, { swapped: true })
})

t.test('stopping does not wait for a log that does not answer', { timeout: 10_000 }, async (t) => {
  const { db, connect } = await aDatabase(t)
  const { promise: asked, resolve } = Promise.withResolvers<void>()
  const supervisor = superviseProjections({
    db,
    reader: {
      ...createMemoryLog(PARTITIONS).reader,
      offsets: () => {
        resolve()
        return new Promise(() => undefined)
      },
    },
    decode: decodeJson,
    projections,
    partitionsOf: () => PARTITIONS,
    connect,
    log: silentLogger,
  })
  await asked
  await supervisor.stop()
  t.pass()
})
