import t, { type Test } from 'tap'
import { newId } from '../../platform/ids.ts'
import { silentLogger } from '../../platform/log.ts'
import { createTestDatabase, type TestDatabase } from '../../prisma/testing.ts'
import { createCodec } from '../../runtime/codec/avro.ts'
import { memoryDirectory } from '../../runtime/codec/schema-directory.ts'
import { createIdempotentProducer } from '../../runtime/kafka/idempotent-producer.ts'
import { createPartitionReader } from '../../runtime/kafka/partition-reader.ts'
import { createTopic, realKafka } from '../../runtime/kafka/testing/real-kafka.ts'
import { examples } from '../../schemas/examples.ts'
import { type VideoEventType, videoEvents } from '../../schemas/topics.ts'
import { migrateSql } from '../../scripts/migrate/sql.ts'
import { projections } from '../index.ts'
import { createDecoder } from '../sources.ts'
import { waitUntil } from '../testing/wait-until.ts'
import type { Projection } from './projection.ts'
import { rebuild } from './rebuild.ts'
import { superviseProjections } from './supervise.ts'
import { hashOf } from './table-hash.ts'
import { findVersion } from './versions.ts'

const PARTITIONS = 3
const STORY: readonly VideoEventType[] = [
  'UploadStarted',
  'PartUploaded',
  'UploadCompleted',
  'SourceProbed',
  'TranscodePlanned',
  'SegmentsTranscoded',
  'RenditionTranscoded',
  'PlaylistPublished',
  'GenerationSelected',
]

const openDatabase = async (t: Test): Promise<TestDatabase> => {
  const database = await createTestDatabase((url) => migrateSql(url, silentLogger))
  t.teardown(() => database.close())
  return database
}

type Log = Awaited<ReturnType<typeof startLog>>

/** A topic of its own with real Avro, and the product's projections reading it. */
const startLog = async (t: Test) => {
  const kafka = realKafka()
  const topic = await createTopic(kafka, 'video-events', {
    partitions: PARTITIONS,
    config: { 'message.timestamp.type': 'LogAppendTime' },
  })
  const directory = memoryDirectory()
  const codec = createCodec(directory)
  const reader = await createPartitionReader(kafka)
  const producer = createIdempotentProducer(kafka)
  t.teardown(async () => {
    await producer.close()
    await reader.close()
  })
  const record = (key: string, type: VideoEventType) => ({
    topic,
    key,
    value: codec.encode<unknown>(videoEvents.events[type], examples[type]),
    headers: { ce_id: newId(), ce_type: `reelstream.${type}`, causationid: newId() },
  })
  return {
    reader,
    decode: createDecoder(directory),
    partitions: PARTITIONS,
    projections: projections.map(
      (projection): Projection => ({ ...projection, reads: { ...videoEvents, name: topic } }),
    ),
    async append(videos: number) {
      for (let at = 0; at < videos; at++) {
        const videoId = newId()
        await producer.send(STORY.map((type) => record(videoId, type)))
      }
    },
  }
}

const supervise = ({ db, connect }: TestDatabase, log: Log) =>
  superviseProjections({ ...log, db, connect, partitionsOf: () => PARTITIONS, log: silentLogger })

const hashes = async ({ pg }: TestDatabase, all: readonly Projection[]): Promise<Record<string, string>> => {
  const found: Record<string, string> = {}
  for (const projection of all) {
    const version = await findVersion(pg, projection, 'live')
    for (const table of Object.keys(projection.tables)) {
      found[table] = (await hashOf(projection, table, { pg, version })).hash
    }
  }
  return found
}

t.test('a catalogue folded live, interrupted, rebuilt and started anew is the same to the last byte', async (t) => {
  const log = await startLog(t)
  const first = await openDatabase(t)
  const interrupted = supervise(first, log)
  await log.append(40)
  await waitUntil('some is folded', async () => (await first.db.video.count()) > 0)
  await interrupted.stop()
  const sending = log.append(40)
  const resumed = supervise(first, log)
  await sending
  await waitUntil(
    'every fact is in the history',
    async () => (await first.db.videoHistory.count()) === 80 * STORY.length,
  )
  await waitUntil('every video is ready', async () => (await first.db.video.count({ where: { ready: true } })) === 80)

  for (const projection of log.projections) {
    const result = await rebuild(
      { ...log, db: first.db, pg: await first.connect(), snapshot: await first.connect() },
      projection,
      { verify: true, signal: new AbortController().signal, confirm: async (found) => found?.equal === true },
    )
    t.match(result, { swapped: true, verification: { equal: true } }, projection.name)
  }
  await resumed.stop()

  const second = await openDatabase(t)
  const anew = supervise(second, log)
  await waitUntil('all is folded again', () => anew.status().ready)
  await anew.stop()
  t.same(await hashes(second, log.projections), await hashes(first, log.projections))
})
