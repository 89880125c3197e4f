import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { systemClock } from '../platform/clock.ts'
import { silentLogger } from '../platform/log.ts'
import { scheduleTranscodes } from '../processors/schedule-transcodes/processor.ts'
import { schemasOf } from '../processors/schemas.ts'
import { transcodeSource } from '../processors/transcode-source/processor.ts'
import { type AvroSchema, createCodec } from '../runtime/codec/avro.ts'
import { memoryDirectory } from '../runtime/codec/schema-directory.ts'
import { createIdempotentProducer } from '../runtime/kafka/idempotent-producer.ts'
import { createPartitionReader } from '../runtime/kafka/partition-reader.ts'
import { realKafka, until as untilHolds } from '../runtime/kafka/testing/real-kafka.ts'
import { dropTopics, ensureTopics, type TopicSpec } from '../runtime/kafka/topics.ts'
import { openTransactionalWriter } from '../runtime/kafka/transactional-writer.ts'
import { openOperator } from '../runtime/operate/operator.ts'
import type { Processor, TopicRef } from '../runtime/processor.ts'
import type { Executor } from '../runtime/run/executors.ts'
import { initialPositions } from '../runtime/run/initial-positions.ts'
import { changelogOf, transactionalIdOf } from '../runtime/run/kafka-task-log.ts'
import { bound, type RunningTopology, run } from '../runtime/run/run.ts'
import { engineTopics } from '../runtime/topology.ts'
import { examples } from '../schemas/examples.ts'
import type { Job } from '../schemas/generated.ts'
import { DEFAULT_POOL, transcodePool } from '../schemas/topics.ts'
import { type LaneTools, lanesOf, setLanes } from './lanes.ts'

/** The scheduler and workers on a real broker, on topics of their own, while an operator changes the lanes. */
const LANES = 2
const LOOK_MS = 50

/** The same processor on other topics. */
const renamed = (processor: Processor, suffix: string): Processor => {
  const topic = (of: TopicRef): TopicRef => ({ ...of, name: `${of.name}-${suffix}` })
  const edges = (list: Processor['reads']) => list.map((edge) => ({ ...edge, topic: topic(edge.topic) }))
  const keys = <T>(handlers: Readonly<Record<string, T>>): Record<string, T> =>
    Object.fromEntries(Object.entries(handlers).map(([name, value]) => [`${name}-${suffix}`, value]))
  const { behaviour } = processor
  return {
    ...processor,
    name: `${processor.name}-${suffix}`,
    reads: edges(processor.reads),
    writes: edges(processor.writes),
    closedBy: edges(processor.closedBy),
    behaviour: { ...behaviour, on: keys(behaviour.on), closing: keys(behaviour.closing) },
  }
}

const open = async (t: Test) => {
  const suffix = randomUUID().slice(0, 8)
  const appId = `lanes-${suffix}`
  const kafka = realKafka()
  const scheduler = renamed(scheduleTranscodes, suffix)
  const worker = renamed(transcodeSource({ workerId: 'worker', videoSlots: 1, lightSlots: 1 }), suffix)
  const directory = memoryDirectory()
  for (const schema of schemasOf([scheduler, worker])) directory.idOf(schema)
  const codec = createCodec(directory)
  const spec = (name: string, partitions: number, cleanup = 'delete'): TopicSpec => ({
    name: `${name}-${suffix}`,
    partitions,
    replicationFactor: 1,
    config: { 'cleanup.policy': cleanup },
  })
  const changelog = (of: Processor, partitions: number) => ({
    ...spec('', partitions, 'compact'),
    name: `${of.name}-state`,
  })
  const topicsOf = (lanes: number) => [spec('transcode-jobs', lanes), changelog(worker, lanes)]
  await ensureTopics(kafka, [
    ...topicsOf(LANES),
    spec('transcode-pool', 1),
    spec('video-events', 1),
    changelog(scheduler, 1),
    ...engineTopics([], { replicationFactor: 1 }, () => spec('', 1)),
  ])
  const reader = await createPartitionReader(kafka)
  const producer = createIdempotentProducer(kafka)
  await producer.send(await initialPositions([scheduler], () => 1, reader, codec))
  await producer.send(await initialPositions([worker], () => LANES, reader, codec))

  const ran: string[] = []
  const gates = new Map<string, PromiseWithResolvers<void>>()
  const gateOf = (jobId: string) => {
    const gate = gates.get(jobId) ?? Promise.withResolvers<void>()
    gates.set(jobId, gate)
    return gate
  }
  const { generation: _, ...done } = examples.ThumbnailsExtracted
  const extractThumbnails: Executor<{ jobId: string }> = async ({ jobId }) => {
    ran.push(jobId)
    await gateOf(jobId).promise
    return { done, failure: null }
  }
  const notAsked = () => Promise.reject(new Error('only thumbnails are asked for'))
  const learn = async () => undefined
  const start = (processor: Processor, executors = {}): Promise<RunningTopology> =>
    run([bound(processor, executors)], {
      ...{ kafka, codec, reader, learn, appId, clock: systemClock, log: silentLogger },
      instanceId: randomUUID(),
      sessionTimeoutMs: 6_000,
    })
  const running = new Set<RunningTopology>()
  const keep = (topology: RunningTopology) => {
    running.add(topology)
    return topology
  }
  t.teardown(async () => {
    for (const { resolve } of gates.values()) resolve()
    await Promise.all([...running].map((topology) => topology.stop()))
    await producer.close()
    await reader.close()
  })
  const said: string[] = []
  const tools: LaneTools = {
    session: { kafka, reader, codec },
    producer,
    operator: openOperator({ kafka, reader, producer, codec, appId }),
    appId,
    worker,
    scheduler,
    topicsOf,
    say: (line) => said.push(line),
    stopWorkers: async () => undefined,
    signal: new AbortController().signal,
  }
  /** Those of another process, which knows nothing of what was there before. */
  const afresh = async (): Promise<LaneTools> => {
    const reader = await createPartitionReader(kafka)
    t.teardown(() => reader.close())
    const operator = openOperator({ kafka, reader, producer, codec, appId })
    return { ...tools, session: { kafka, reader, codec }, operator }
  }
  const pool = <T>(schema: AvroSchema<T>, data: T) => {
    const headers = { ce_type: schema.name, ce_id: randomUUID() }
    return producer.send([
      { topic: `transcode-pool-${suffix}`, key: DEFAULT_POOL, value: codec.encode(schema, data), headers },
    ])
  }
  /** A worker that announced the lane and is no more. */
  const ghost = async (lane: number) => {
    await pool(transcodePool.events.LaneOpened, { lane, workerId: 'ghost', videoSlots: 9, lightSlots: 9, held: [] })
    while (!(await lanesOf(tools)).some(({ workerId }) => workerId === 'ghost')) await delay(LOOK_MS)
  }
  const request = (...jobIds: readonly string[]) => {
    const jobs = jobIds.map(
      (jobId): Job => ({ ...examples.JobReleased.job, jobId, videoId: jobId, kind: 'THUMBNAILS', playlistKey: 'k' }),
    )
    return pool(transcodePool.events.JobsRequested, { jobs })
  }
  return {
    tools,
    afresh,
    ran,
    said,
    request,
    ghost,
    finish: (jobId: string) => gateOf(jobId).resolve(),
    startScheduler: async () => keep(await start(scheduler)),
    startWorker: async () =>
      keep(await start(worker, { extractThumbnails, transcodeVideo: notAsked, transcodeAudio: notAsked })),
    stop: async (topology: RunningTopology) => {
      running.delete(topology)
      await topology.stop()
    },
    until: (what: string, holds: () => boolean) => untilHolds(t, what, holds, 30_000),
    settled: async (jobs: number) => {
      for (;;) {
        const ended = await tools.operator.entries(scheduler, DEFAULT_POOL, 'ended')
        if (ended.length >= jobs) return ended.length
        await delay(LOOK_MS)
      }
    },
  }
}

t.test('refuses while jobs run, and holds nobody up', async (t) => {
  const { tools, ran, request, finish, startScheduler, startWorker, until, settled } = await open(t)
  await startScheduler()
  await startWorker()
  await request('a')
  await until('a runs', () => ran.length === 1)
  await t.rejects(setLanes(4, { wait: false }, tools), { code: 'LANES_BUSY', message: /1 job still running/ })
  t.match(await lanesOf(tools), [{ workerId: 'worker' }, { workerId: 'worker' }])
  t.same(
    (await lanesOf(tools)).flatMap(({ jobs }) => jobs),
    ['a'],
  )
  await request('b')
  finish('a')
  finish('b')
  t.equal(await settled(2), 2)
  await t.rejects(setLanes(4, { wait: false }, tools), { code: 'PROCESSOR_RUNNING' })
  t.notOk(await setLanes(LANES, { wait: false }, tools), 'there are as many as wanted')
})

t.test('waits until lanes are dry and workers gone, then makes more; no job is lost or run twice', async (t) => {
  const all = await open(t)
  const { tools, ran, said, request, finish, startScheduler, startWorker, stop, until, settled } = all
  await startScheduler()
  const first = await startWorker()
  await request('a', 'b')
  await until('a runs', () => ran.length === 1)
  let stopping: Promise<void> | undefined
  const stopWorkers = async () => {
    stopping ??= stop(first)
  }
  const changing = setLanes(5, { wait: true }, { ...tools, stopWorkers })
  await until('it waits', () => said.includes('1 job still running'))
  await request('c')
  finish('a')
  t.ok(await changing)
  await stopping
  t.same(ran, ['a'], 'what waited was not begun')
  t.same(said, ['1 job still running', '1 worker process still there'])
  t.same(
    (await lanesOf(tools)).map(({ lane, workerId }) => [lane, workerId]),
    [0, 1, 2, 3, 4].map((lane) => [lane, null]),
  )
  await startWorker()
  finish('b')
  finish('c')
  t.equal(await settled(3), 3)
  t.same(ran, ['a', 'b', 'c'])
  t.same(new Set((await lanesOf(tools)).map(({ workerId }) => workerId)), new Set(['worker']))
})

t.test('makes fewer, closes the lanes of a worker that died, and goes on where it was interrupted', async (t) => {
  const { tools, ran, request, finish, startScheduler, startWorker, stop, settled, ghost } = await open(t)
  await startScheduler()
  const worker = await startWorker()
  finish('a')
  await request('a')
  await settled(1)
  await stop(worker)
  await ghost(1)
  const asleep = await openTransactionalWriter(tools.session.kafka, transactionalIdOf(tools.appId, tools.worker, 0))
  t.teardown(() => asleep.close())
  await dropTopics(
    tools.session.kafka,
    tools.topicsOf(1).map(({ name }) => name),
  )
  t.ok(await setLanes(1, { wait: false }, tools))
  const late = { topic: changelogOf(tools.worker), partition: 0, key: 'late', value: null, headers: {} }
  await t.rejects(asleep.commit([late]), { code: 'FENCED' }, 'one that was only asleep cannot write to the new topics')
  await startWorker()
  finish('b')
  finish('c')
  await request('b', 'c')
  t.equal(await settled(3), 3)
  t.same(ran, ['a', 'b', 'c'], 'none was given to the lane that is no more')
  t.match(await lanesOf(tools), [{ lane: 0, workerId: 'worker', jobs: [] }])
})

t.test('waiting ends with the signal, and releases go on', async (t) => {
  const { tools, ran, said, request, finish, startScheduler, startWorker, until, settled } = await open(t)
  await startScheduler()
  await startWorker()
  await request('a')
  await until('a runs', () => ran.length === 1)
  const stop = new AbortController()
  const changing = setLanes(3, { wait: true }, { ...tools, signal: stop.signal })
  await until('it waits', () => said.length > 0)
  stop.abort()
  await t.rejects(changing, { name: 'AbortError' })
  await request('b')
  finish('a')
  finish('b')
  t.equal(await settled(2), 2)
})

t.test('a change that was cut off behind the topics is brought to its end', async (t) => {
  const { tools, afresh, ran, request, finish, startScheduler, startWorker, settled, ghost } = await open(t)
  await startScheduler()
  await ghost(1)
  const topics = tools.topicsOf(1)
  await dropTopics(
    tools.session.kafka,
    topics.map(({ name }) => name),
  )
  await ensureTopics(tools.session.kafka, topics)
  const now = await afresh()
  t.ok(await setLanes(1, { wait: false }, now))
  t.notOk(await setLanes(1, { wait: false }, now), 'and then it is done')
  await startWorker()
  for (const jobId of ['a', 'b', 'c']) finish(jobId)
  await request('a', 'b', 'c')
  t.equal(await settled(3), 3)
  t.same(ran, ['a', 'b', 'c'], 'none was given to the lane that is no more')
})
