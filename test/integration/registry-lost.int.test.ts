import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { prepareArtifacts } from '../../local/artifacts.ts'
import { createChildren } from '../../local/child.ts'
import { openDataDir } from '../../local/data-dir.ts'
import { prepareJvm } from '../../local/jvm.ts'
import { freePorts } from '../../local/ports.ts'
import { registryServer } from '../../local/registry.ts'
import { supervise } from '../../local/supervise.ts'
import { readConfig } from '../../platform/config.ts'
import { type AvroSchema, createCodec } from '../../runtime/codec/avro.ts'
import { fetchSchema, registerSchemas, schemaIdRecords } from '../../runtime/codec/registry.ts'
import { restoreRegistry } from '../../runtime/codec/restore-registry.ts'
import { openSchemaDirectory } from '../../runtime/codec/schema-directory.ts'
import { createIdempotentProducer } from '../../runtime/kafka/idempotent-producer.ts'
import { createPartitionReader } from '../../runtime/kafka/partition-reader.ts'
import { createTopic, realKafka } from '../../runtime/kafka/testing/real-kafka.ts'

/**
 * A real registry of this test's own, whose data are deleted: the log stays readable and writable from `schema-ids`, and
 * the migrate step gives the registry its ids back.
 */
const READY_WITHIN_MS = 60_000
const [, , port = 0] = await freePorts(3)
const dataDir = await openDataDir(await mkdtemp(path.join(tmpdir(), 'reelstream-registry-')))
const children = createChildren(dataDir)
t.teardown(async () => {
  await children.stopAll()
  await rm(dataDir, { recursive: true, force: true })
})
const artifacts = await prepareArtifacts(readConfig().cacheDir, children.stopping, () => undefined)
const server = registryServer({ dataDir, port, artifacts, jvm: await prepareJvm(artifacts.archiveDir) })
const url = server.env.SCHEMA_REGISTRY_URL ?? ''

/** Starts it, with what it held or with nothing. Returns how to stop it. */
const startRegistry = async (data: 'as it was' | 'deleted' = 'as it was'): Promise<() => Promise<void>> => {
  if (data === 'deleted') await rm(path.join(dataDir, 'registry'), { recursive: true, force: true })
  await server.prepare?.(children)
  const options = { children, readyTimeoutMs: READY_WITHIN_MS, restart: false, report: () => undefined }
  const running = await supervise({ ...server, isHealthy: () => server.isHealthy() }, options)
  return () => running.stop()
}

const schemaOf = (name: string): AvroSchema<{ readonly id: string }> => ({
  name: `lost.${name}`,
  schema: JSON.stringify({
    type: 'record',
    name,
    namespace: 'lost',
    fields: [{ name: 'id', type: 'string' }],
  }),
})
/** Not of the log, though the registry numbered it, too. */
const TRIED_OUT = schemaOf('TriedOut')
const [FIRST, SECOND, THIRD] = [schemaOf('First'), schemaOf('Second'), schemaOf('Third')]
const SCHEMAS = [FIRST, SECOND, THIRD]

/** `schema-ids` of a log, written as the migrate step does. */
const openLog = async () => {
  const kafka = realKafka()
  const topic = await createTopic(kafka, 'schema-ids', { config: { 'cleanup.policy': 'compact' } })
  const [producer, reader] = [createIdempotentProducer(kafka), await createPartitionReader(kafka)]
  t.teardown(() => Promise.all([producer.close(), reader.close()]))
  const directory = () => openSchemaDirectory(reader, (id) => fetchSchema(url, id), topic)
  const publish = async (schemas: readonly AvroSchema<unknown>[]): Promise<ReadonlyMap<string, number>> => {
    const ids = await registerSchemas(url, schemas)
    await producer.send(schemaIdRecords(await directory(), schemas, ids).map((record) => ({ ...record, topic })))
    return ids
  }
  return { directory, publish }
}

t.test('the log is read and written from schema-ids, and an emptied registry gets its ids back', async (t) => {
  const log = await openLog()
  const stop = await startRegistry()
  const before = await log.publish([FIRST])
  await registerSchemas(url, [TRIED_OUT])
  for (const [name, id] of await log.publish([SECOND, THIRD])) (before as Map<string, number>).set(name, id)
  t.same([...before.values()], [1, 3, 4])
  const written = createCodec(await log.directory()).encode(SECOND, { id: 'e1' })
  await stop()

  await t.test('while it is away', async (t) => {
    const codec = createCodec(await log.directory())
    t.same(codec.decode(SECOND, written), { id: 'e1' })
    t.same(codec.decode(THIRD, codec.encode(THIRD, { id: 'e2' })), { id: 'e2' })
    await t.rejects((await log.directory()).learn(2_000_000_000), { code: 'REGISTRY_UNAVAILABLE' })
  })

  await t.test('when it is back without its data', async (t) => {
    const stop = await startRegistry('deleted')
    const directory = await log.directory()
    t.same(createCodec(directory).decode(SECOND, written), { id: 'e1' })
    await t.rejects(fetchSchema(url, 4), { code: 'SCHEMA_UNKNOWN' })
    t.equal(await registerSchemas(url, [SECOND]).then((ids) => ids.get(SECOND.name)), 1, 'it would number them anew')
    t.throws(() => schemaIdRecords(directory, [SECOND], new Map([[SECOND.name, 1]])), { code: 'REGISTRY_MISMATCH' })
    await t.rejects(restoreRegistry(url, directory.all()), { code: 'REGISTRY_MISMATCH', message: /an empty one/ })
    await stop()
  })

  await t.test('when it is restored', async (t) => {
    const stop = await startRegistry('deleted')
    t.equal(await restoreRegistry(url, (await log.directory()).all()), SCHEMAS.length)
    t.same(await registerSchemas(url, SCHEMAS), before, 'the migrate step gets the ids that it had')
    t.equal(await restoreRegistry(url, (await log.directory()).all()), 0)
    const added = await registerSchemas(url, [schemaOf('Fourth')])
    t.same([...added.values()], [5], 'what is new gets a number that nobody has')
    await stop()
  })
})
