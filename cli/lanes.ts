import { setTimeout as sleep } from 'node:timers/promises'
import { BadInputError, UpstreamError } from '../platform/errors.ts'
import { newId } from '../platform/ids.ts'
import type { AvroSchema } from '../runtime/codec/avro.ts'
import { envelopeHeaders } from '../runtime/codec/envelope.ts'
import { membersOf, withAdmin } from '../runtime/kafka/admin.ts'
import type { IdempotentProducer } from '../runtime/kafka/idempotent-producer.ts'
import type { OutputRecord } from '../runtime/kafka/log-records.ts'
import { dropTopics, ensureTopics, type TopicSpec } from '../runtime/kafka/topics.ts'
import { openTransactionalWriter } from '../runtime/kafka/transactional-writer.ts'
import type { Operator } from '../runtime/operate/operator.ts'
import { inputTopicsOf, type Processor } from '../runtime/processor.ts'
import { initialPositions } from '../runtime/run/initial-positions.ts'
import { changelogOf, transactionalIdOf } from '../runtime/run/kafka-task-log.ts'
import type { Session } from '../runtime/run/session.ts'
import { DEFAULT_POOL, transcodePool } from '../schemas/topics.ts'
import { type LaneSituation, nextLaneStep } from './lane-change.ts'

/**
 * Changes how many lanes there are, on a broker; what is done when, is decided in lane-change.ts.
 *
 * The order is what makes it safe. Releases are held first, so that what runs is all that will; the worker's group is
 * deleted, which the broker refuses while anybody is in it; the topics are dropped; its transactional ids are taken over,
 * so that a worker that was only asleep can never write to the changelog of its successors; and only then the topics are
 * made anew. Whatever interrupts this, saying it again goes on.
 */
export interface LaneTools {
  readonly session: Pick<Session, 'kafka' | 'reader' | 'codec'>
  readonly producer: IdempotentProducer
  readonly operator: Operator
  readonly appId: string
  /** transcode-source and schedule-transcodes. */
  readonly worker: Processor
  readonly scheduler: Processor
  /** The topics of so many lanes: the worker's input and its changelog. */
  readonly topicsOf: (lanes: number) => readonly TopicSpec[]
  /** Told what is waited for, once per change. */
  readonly say: (line: string) => void
  /** Asks workers to stop, where that is in our power; called for as long as some are there. */
  readonly stopWorkers: () => Promise<void>
  /** Ends the waiting. */
  readonly signal: AbortSignal
}

const { ReleasesHeld, LaneClosed } = transcodePool.events

/** How often the situation is looked at, ms; a worker that is started again by its supervisor takes a second to join. */
const LOOK_MS = 200
/** How long releases stay held when we are gone, ms, and how often that is renewed. */
const HOLD_MS = 60_000
const RENEW_MS = 20_000
/** How long the scheduler may take to say that it holds, ms. */
const ANSWER_MS = 20_000

/**
 * Resolves to whether anything had to be changed. Throws BadInputError LANES_BUSY, LANES_BLOCKED, PROCESSOR_RUNNING (with
 * `wait` only LANES_BLOCKED), UpstreamError NOT_ANSWERED (retryable) when the scheduler does not hold, and what Kafka
 * throws; the reason of the signal when that aborts. Releases go on in every case.
 */
export const setLanes = async (wanted: number, options: { wait: boolean }, tools: LaneTools): Promise<boolean> => {
  let said = ''
  let renewAtMs = 0
  let isHeld = false
  try {
    for (;;) {
      tools.signal.throwIfAborted()
      const step = nextLaneStep(wanted, await situationOf(tools), options)
      if (step.step === 'done') return isHeld
      if (step.step === 'refuse') throw new BadInputError(step.code, `The lanes cannot be changed: ${step.why}`)
      if (Date.now() >= renewAtMs) {
        await holdReleases(tools, Date.now() + HOLD_MS)
        renewAtMs = Date.now() + RENEW_MS
        if (!isHeld) {
          isHeld = true
          continue // what was released meanwhile counts
        }
      }
      if (step.step === 'recreate') {
        await recreate(wanted, tools)
        await settle(wanted, 0, tools)
        return true
      }
      if (step.step === 'settle') {
        await settle(wanted, wanted, tools)
        return true
      }
      if (step.what !== said) tools.say(step.what)
      said = step.what
      if (step.step === 'stop-workers') await tools.stopWorkers()
      await sleep(LOOK_MS, undefined, { signal: tools.signal })
    }
  } finally {
    if (isHeld) await tools.producer.send([toPool(tools, ReleasesHeld, { untilMs: 0 })])
  }
}

export interface LaneRow {
  readonly lane: number
  /** Who has announced it; null = nobody. */
  readonly workerId: string | null
  /** Jobs that it has been given. */
  readonly jobs: readonly string[]
}

/** Every lane, ascending: who holds it and what it runs, as the scheduler knows it. */
export const lanesOf = async ({ operator, scheduler, worker, session }: LaneTools): Promise<readonly LaneRow[]> => {
  const holders = await stateOf<Lane>(operator, scheduler, 'lane')
  const released = await stateOf<{ lane: number }>(operator, scheduler, 'released')
  const lanes = await session.reader.partitions(jobsTopicOf(worker))
  return lanes.map((lane) => ({
    lane,
    workerId: holders.find(([, holder]) => holder.lane === lane)?.[1].workerId ?? null,
    jobs: released.filter(([, job]) => job.lane === lane).map(([jobId]) => jobId),
  }))
}

/** As schedule-transcodes keeps it. */
interface Lane {
  readonly lane: number
  readonly workerId: string
}

const jobsTopicOf = (worker: Processor): string => inputTopicsOf(worker)[0] as string

const stateOf = async <T>(operator: Operator, scheduler: Processor, collection: string) =>
  (await operator.entries(scheduler, DEFAULT_POOL, collection)) as readonly (readonly [id: string, value: T])[]

const situationOf = async (tools: LaneTools): Promise<LaneSituation> => {
  const { session, operator, worker, scheduler } = tools
  const [jobPartitions = 0, changelogPartitions = 0] = await partitionsOf(session.kafka, [
    jobsTopicOf(worker),
    changelogOf(worker),
  ])
  const isWhole = jobPartitions > 0 && jobPartitions === changelogPartitions
  // Topics that were half made are empty.
  const tasks = isWhole ? await operator.tasks(worker) : []
  const left = isWhole ? await unsettledOf(jobPartitions, jobPartitions, tools) : { positions: [], ghosts: [] }
  return {
    jobPartitions,
    changelogPartitions,
    running: (await stateOf(operator, scheduler, 'released')).length,
    pendingEffects: tasks.reduce((sum, { pendingEffects }) => sum + pendingEffects, 0),
    blockedKeys: tasks.reduce((sum, { blockedKeys }) => sum + blockedKeys, 0),
    workers: await membersOf(session.kafka, worker.name),
    unsettled: left.positions.length + left.ghosts.length,
  }
}

/** 0 for a topic that does not exist. */
const partitionsOf = (kafka: Session['kafka'], names: readonly string[]): Promise<number[]> =>
  withAdmin(kafka, async (admin) => {
    const existing = new Set(await admin.listTopics())
    const { topics } = await admin.fetchTopicMetadata({ topics: names.filter((name) => existing.has(name)) })
    return names.map((name) => topics.find((topic) => topic.name === name)?.partitions.length ?? 0)
  })

/** Resolves when the scheduler has it in its state: from then on nothing is released. One that does not run releases nothing. */
const holdReleases = async (tools: LaneTools, untilMs: number): Promise<void> => {
  const { operator, scheduler, session, signal } = tools
  await tools.producer.send([toPool(tools, ReleasesHeld, { untilMs })])
  if ((await membersOf(session.kafka, scheduler.name)) === 0) return
  for (const deadline = Date.now() + ANSWER_MS; ; await sleep(LOOK_MS, undefined, { signal })) {
    const [clock] = await stateOf<{ heldUntilMs: number }>(operator, scheduler, 'clock')
    if (clock !== undefined && clock[1].heldUntilMs >= untilMs) return
    if (Date.now() > deadline) {
      throw new UpstreamError('NOT_ANSWERED', `${scheduler.name} does not hold its releases: is its process well?`)
    }
  }
}

/** A record for the scheduler. */
const toPool = <T>({ session, scheduler, appId }: LaneTools, schema: AvroSchema<T>, data: T): OutputRecord => ({
  topic: inputTopicsOf(scheduler)[0] as string,
  key: DEFAULT_POOL,
  value: session.codec.encode(schema, data),
  headers: envelopeHeaders({
    id: newId(),
    type: schema.name,
    source: `/${appId}/lanes`,
    timeMs: Date.now(),
    causationId: null,
    traceparent: null,
  }),
})

const recreate = async (wanted: number, tools: LaneTools): Promise<void> => {
  const { session, worker, appId, topicsOf } = tools
  const { kafka } = session
  const specs = topicsOf(wanted)
  const [before = 0] = await partitionsOf(kafka, [changelogOf(worker)])
  await withAdmin(kafka, (admin) => deleteGroup(admin, worker.name))
  await dropTopics(
    kafka,
    specs.map(({ name }) => name),
  )
  for (let task = 0; task < Math.max(before, wanted); task++) {
    await (await openTransactionalWriter(kafka, transactionalIdOf(appId, worker, task))).close()
  }
  await ensureTopics(kafka, specs)
}

/** What follows the topics: where the worker begins, and the end of lanes that nobody has any more, from this one on. */
const settle = async (lanes: number, goneFrom: number, tools: LaneTools): Promise<void> => {
  const { positions, ghosts } = await unsettledOf(lanes, goneFrom, tools)
  await tools.producer.send(positions)
  await tools.producer.send(ghosts.map(({ lane, workerId }) => toPool(tools, LaneClosed, { lane, workerId })))
}

/** A worker that died, or slept, has not closed its lanes; one that opens a lane again says so, of one that is no more nobody. */
const unsettledOf = async (lanes: number, goneFrom: number, tools: LaneTools) => {
  const { session, operator, scheduler, worker } = tools
  const held = await stateOf<Lane>(operator, scheduler, 'lane')
  return {
    positions: await initialPositions([worker], () => lanes, session.reader, session.codec),
    ghosts: held.map(([, holder]) => holder).filter(({ lane }) => lane >= goneFrom),
  }
}

/** The broker refuses while the group has members. */
const deleteGroup = async (admin: ReturnType<Session['kafka']['admin']>, group: string): Promise<void> => {
  try {
    await admin.deleteGroups([group])
  } catch (error) {
    const { groups = [] } = error as { groups?: { error?: { type?: string } }[] }
    const types = groups.map(({ error }) => error?.type)
    if (types.every((type) => type === 'GROUP_ID_NOT_FOUND') && types.length > 0) return
    if (types.includes('NON_EMPTY_GROUP')) {
      throw new BadInputError('PROCESSOR_RUNNING', `A process of ${group} was started meanwhile: stop it first`)
    }
    throw error
  }
}
