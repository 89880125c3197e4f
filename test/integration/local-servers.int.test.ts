import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { Kafka, logLevel } from 'kafkajs'
import pg from 'pg'
import t, { type Test } from 'tap'
import { createChildren } from '../../local/child.ts'
import { openDataDir } from '../../local/data-dir.ts'
import { isAlive, readProcessRecords } from '../../local/leftovers.ts'
import { freePorts } from '../../local/ports.ts'
import { removeSharedPostgresData } from '../../local/postgres-home.ts'
import { sessionMembers, signalGroup } from '../../local/processes.ts'
import { silentProgress } from '../../local/progress.ts'
import { loadSecrets } from '../../local/secrets.ts'
import { startLocalServers } from '../../local/servers.ts'
import { childEnvironment, readConfig } from '../../platform/config.ts'

/** The test runner's own servers are not what this test is about. */
const NO_EXTERNAL_SERVERS = { KAFKA_BROKERS: '', SCHEMA_REGISTRY_URL: '', S3_ENDPOINT: '', DATABASE_URL: '' }

/**
 * The four real servers as `npm start` runs them, on ports and data of this test alone: what was acknowledged is still
 * there after kill -9 of everything.
 */
const ownInstallation = async (t: Test) => {
  const [kafka = 0, , registry = 0, s3 = 0, postgres = 0] = await freePorts(5)
  // A space, a comma and letters outside ASCII: each has broken one of the servers.
  const dataDir = await openDataDir(path.join(await mkdtemp(path.join(tmpdir(), 'reelstream-')), 'Zoë, my data'))
  t.teardown(async () => {
    await removeSharedPostgresData(dataDir)
    await rm(path.dirname(dataDir), { recursive: true, force: true })
  })
  const config = readConfig({
    ...childEnvironment(NO_EXTERNAL_SERVERS),
    KAFKA_PORT: String(kafka),
    REGISTRY_PORT: String(registry),
    S3_PORT: String(s3),
    POSTGRES_PORT: String(postgres),
  })
  const secrets = await loadSecrets(dataDir)
  const start = async () => {
    const children = createChildren(dataDir)
    return startLocalServers({ config, dataDir, secrets, children, progress: silentProgress(), restart: false })
  }
  return { dataDir, config, start }
}

const clients = (env: Readonly<Record<string, string>>) => {
  const kafka = new Kafka({ brokers: [env.KAFKA_BROKERS ?? ''], logLevel: logLevel.NOTHING })
  const s3 = new S3Client({
    endpoint: env.S3_ENDPOINT ?? '',
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: env.S3_ACCESS_KEY_ID ?? '', secretAccessKey: env.S3_SECRET_ACCESS_KEY ?? '' },
  })
  return { kafka, s3, schemaUrl: `${env.SCHEMA_REGISTRY_URL}/subjects/reelstream.Kept/versions` }
}

const query = async (url: string | undefined, sql: string): Promise<pg.QueryResult<Record<string, unknown>>> => {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  return client.query(sql).finally(() => client.end())
}

const OBJECT = { Bucket: 'media', Key: 'v/1/source' }
const SCHEMA = JSON.stringify({ type: 'record', name: 'Kept', namespace: 'reelstream', fields: [] })

const writeEverywhere = async (env: Readonly<Record<string, string>>): Promise<number> => {
  const { kafka, s3, schemaUrl } = clients(env)
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 'kept', numPartitions: 1 }] })
  await admin.disconnect()
  const producer = kafka.producer()
  await producer.connect()
  await producer.send({ topic: 'kept', acks: -1, messages: [{ value: 'record' }] })
  await producer.disconnect()
  await s3.send(new CreateBucketCommand({ Bucket: OBJECT.Bucket }))
  await s3.send(new PutObjectCommand({ ...OBJECT, Body: 'object' }))
  await query(env.DATABASE_URL, "CREATE TABLE kept AS SELECT 'row' AS value")
  const response = await fetch(schemaUrl, {
    method: 'POST',
    headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' },
    body: JSON.stringify({ schema: SCHEMA }),
  })
  return ((await response.json()) as { id: number }).id
}

const readEverywhere = async (env: Readonly<Record<string, string>>) => {
  const { kafka, s3, schemaUrl } = clients(env)
  const consumer = kafka.consumer({ groupId: `reader-${Date.now()}` })
  await consumer.connect()
  await consumer.subscribe({ topic: 'kept', fromBeginning: true })
  const record = new Promise<string>((resolve) => {
    void consumer.run({ eachMessage: async ({ message }) => resolve(String(message.value)) })
  })
  const object = await s3.send(new GetObjectCommand(OBJECT))
  const rows = await query(env.DATABASE_URL, 'SELECT value FROM kept')
  const schema = (await (await fetch(`${schemaUrl}/latest`)).json()) as { id: number }
  const found = { record: await record, object: await object.Body?.transformToString(), row: rows.rows[0]?.value }
  await consumer.disconnect()
  return { ...found, schemaId: schema.id }
}

t.test('everything that was acknowledged survives kill -9 of all four servers', async (t) => {
  const { dataDir, start } = await ownInstallation(t)
  const first = await start()
  const schemaId = await writeEverywhere(first.env)
  const pids = Object.values(first.pids())
  t.equal(pids.length, 4)
  for (const pid of pids) signalGroup(pid, 'SIGKILL')
  while (pids.some((pid) => sessionMembers(pid).length > 0)) await delay(20)
  await first.stop()

  const second = await start()
  t.same(await readEverywhere(second.env), { record: 'record', object: 'object', row: 'row', schemaId })
  const after = readProcessRecords(dataDir)
  t.equal(after.length, 4)
  await second.stop()
  t.notOk(after.some(isAlive), 'no child is left after a stop')
  t.same(readProcessRecords(dataDir), [])
})

t.test('a port that is taken is refused before anything is started', async (t) => {
  const { dataDir, config, start } = await ownInstallation(t)
  const somebody = createServer().listen(config.s3Port, '127.0.0.1')
  await once(somebody, 'listening')
  t.teardown(() => somebody.close())
  await t.rejects(start(), { code: 'PORT_IN_USE', message: new RegExp(`:${config.s3Port} [(]S3_PORT[)]`) })
  t.same(readProcessRecords(dataDir), [])
})
