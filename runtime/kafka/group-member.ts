/**
 * A member of a processor's consumer group: says which tasks are this process's, and pumps their records.
 *
 * kafkajs does the group protocol and the fetching; nothing else of it is used. `eachBatch` hands the records on and
 * returns at once, so heartbeats never wait for a handler and a rebalance takes tens of milliseconds. Positions are not
 * kept in the group: the engine reads its own from the changelog, seeks and resumes. Committed offsets are a lag gauge.
 *
 * What kafkajs does not guarantee, and what is done about it here:
 * - A new assignment is fetched at once. Its GROUP_JOIN event is emitted synchronously before the first fetch, and there
 *   every partition that the engine has not resumed is paused.
 * - A rebalance forgets the positions of the partitions that stay. They are sought back, in the same place.
 * - A restart after a crash forgets what is paused, too. The same.
 * - A position that the log no longer holds is silently replaced by the oldest one; with patch no-offset-reset the member
 *   dies of it (POSITION_LOST), for flowing past a hole would break the order of facts.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Consumer, ConsumerGroupJoinEvent, EachBatchPayload, Kafka } from 'kafkajs'
import { BugError, type ReelstreamError, UpstreamError } from '../../platform/errors.ts'
import { asUpstreamError, kafkaErrorOf, originOf } from './kafka-errors.ts'
import type { KafkaRecord } from './kafkajs.ts'
import { type LogRecord, toLogRecord } from './log-records.ts'
import { type OwnClaim, stickyAssigner } from './sticky-assigner.ts'

export interface GroupOptions {
  /** The processor's name. */
  readonly groupId: string
  /** Its input topics, with equal partition counts: task u is partition u of all of them. */
  readonly topics: readonly string[]
  /** Name of this process, unique among the members. */
  readonly instanceId: string
  /** How long the group waits for a silent member before it gives its tasks away, ms; the broker allows ≥ 6000. */
  readonly sessionTimeoutMs?: number
  /** Tasks that should not be moved while their owner lives (an effect is running that is costly to redo). */
  readonly busyTasks?: () => number[]
}

export interface GroupHandlers {
  /**
   * The tasks of this process from now on, and the ones that were its own until now. Kept tasks simply run on. New ones
   * are paused: open them, seek each of their partitions, resume. Called on each rebalance, also when nothing changed.
   */
  assigned(tasks: number[], lost: number[]): void
  /**
   * Committed records of one partition, in order, from the sought position on, each once. Must only take them over: it is
   * called between two heartbeats. Some may still come after `pause`, none after the task was lost.
   */
  records(topic: string, partition: number, records: LogRecord[], nextOffset: bigint): void
  /**
   * The member is dead, called once: join anew, or exit. UpstreamError GROUP_LOST or POSITION_LOST, ConfigError
   * UNEQUAL_PARTITIONS or KAFKA_UNAUTHORIZED, BugError HANDLER_THREW.
   */
  crashed(error: ReelstreamError): void
}

export interface OffsetOf {
  readonly topic: string
  readonly partition: number
  /** The next offset to be processed. */
  readonly offset: bigint
}

/** What concerns a partition that is not (any more) this member's does nothing: a task may be lost while it opens. */
export interface GroupMember {
  /** Stops fetching; what was fetched already still comes. */
  pause(topic: string, partition: number): void
  /** Starts or goes on fetching. Throws BugError RESUME_WITHOUT_SEEK when no position is known. */
  resume(topic: string, partition: number): void
  /** The next record is the first one at or after this offset; what was fetched from elsewhere is dropped. */
  seek(topic: string, partition: number, offset: bigint): void
  /** For lag gauges only. Throws UpstreamError OFFSETS_NOT_COMMITTED; the next call makes up for it. */
  commitOffsets(offsets: readonly OffsetOf[]): Promise<void>
  /** Leaves the group, so that the tasks move at once. No handler is called any more. */
  leave(): Promise<void>
}

/**
 * How long the broker holds a fetch that has nothing, ms. Bounds how long a resumed partition waits for its first fetch,
 * and how long a leave takes; not the latency of records, which end the wait.
 */
const FETCH_WAIT_MS = 1000
const HEARTBEAT_MS = 1000
const SESSION_TIMEOUT_MS = 10_000
/**
 * How long a leave waits for a join that is under way, ms. Without waiting kafkajs disconnects before it is a member, the
 * join succeeds all the same, and the tasks wait for a member that never was, until its session ends.
 */
const LONGEST_JOIN_MS = 5000
/** How long the others have to rejoin, ms: more than the longest turn of the event loop, less than anyone's patience. */
const REBALANCE_TIMEOUT_MS = 30_000

/**
 * Joins the group. Resolves when the broker is reached and the topics are known, always before the first call of a
 * handler. Throws UpstreamError GROUP_UNAVAILABLE (retryable).
 */
export const joinGroup = async (kafka: Kafka, options: GroupOptions, handlers: GroupHandlers): Promise<GroupMember> => {
  const { groupId, topics, instanceId, sessionTimeoutMs = SESSION_TIMEOUT_MS, busyTasks = () => [] } = options
  let memberId: string | undefined
  let ended = false
  let joining: Promise<void> | undefined
  const claim = (): OwnClaim => ({ instanceId, owned: pump.tasks(), busy: busyTasks(), memberId })
  const consumer = kafka.consumer({
    groupId,
    partitionAssigners: [stickyAssigner(claim)],
    sessionTimeout: sessionTimeoutMs,
    heartbeatInterval: HEARTBEAT_MS,
    rebalanceTimeout: REBALANCE_TIMEOUT_MS,
    maxWaitTimeInMs: FETCH_WAIT_MS,
    allowAutoTopicCreation: false,
    retry: { restartOnFailure: async () => !ended },
  })
  const end = async (): Promise<void> => {
    ended = true
    pump.stop()
    await Promise.race([joining, sleep(LONGEST_JOIN_MS, undefined, { ref: false })])
    await consumer.disconnect()
  }
  const crash = (error: unknown): void => {
    if (ended) return
    const failure = failureOf(error, groupId)
    end()
      .catch(() => {}) // it is lost anyway; what happened is in `failure`
      .finally(() => handlers.crashed(failure))
  }
  const pump = createPump(consumer, handlers, crash)

  try {
    await consumer.connect()
    await consumer.subscribe({ topics: [...topics], fromBeginning: true })
  } catch (error) {
    await consumer.disconnect().catch(() => {}) // it was never there
    throw asUpstreamError('GROUP_UNAVAILABLE', `Group ${groupId} could not be joined`, error, { groupId })
  }
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }: ConsumerGroupJoinEvent) => {
    memberId = payload.memberId
    if (!ended) pump.join(payload.memberAssignment)
  })
  consumer.on(consumer.events.STOP, () => pump.suspend())
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (!payload.restart) crash(payload.error)
  })
  joining = consumer.run({ autoCommit: false, eachBatch: async (batch) => pump.deliver(batch) }).catch(crash)

  return {
    pause: pump.pause,
    resume: pump.resume,
    seek: pump.seek,
    commitOffsets: async (offsets) => {
      const entries = offsets.map(({ topic, partition, offset }) => ({ topic, partition, offset: String(offset) }))
      await consumer.commitOffsets(entries).catch((error: unknown) => {
        throw asUpstreamError('OFFSETS_NOT_COMMITTED', `The lag gauge of ${groupId} was not moved`, error, { groupId })
      })
    },
    leave: end,
  }
}

interface PartitionState {
  /** The next offset to be handed out; undefined until the engine has sought. */
  position: bigint | undefined
  flowing: boolean
}

/** What is assigned, where each partition stands and whether it flows; survives kafkajs' own restarts. */
const createPump = (consumer: Consumer, handlers: GroupHandlers, crash: (error: unknown) => void) => {
  let assigned = new Map<string, PartitionState>()
  let running = false
  let stopped = false
  const keyOf = (topic: string, partition: number): string => `${topic}/${partition}`
  const tasks = (): number[] => [...new Set([...assigned.keys()].map(partitionIn))]
  const seekTo = (topic: string, partition: number, position: bigint): void =>
    consumer.seek({ topic, partition, offset: String(position) })

  const guarded = (act: () => void): void => {
    try {
      act()
    } catch (error) {
      stopped = true
      crash(new BugError('HANDLER_THREW', 'A handler of the group member threw', { cause: error }))
    }
  }

  return {
    tasks,
    /** Before the first fetch of an assignment, in the same turn. */
    join: (assignment: Readonly<Record<string, number[]>>): void => {
      if (stopped) return
      running = true
      const before = assigned
      const owned = new Set(tasks())
      assigned = new Map()
      for (const [topic, partitions] of Object.entries(assignment)) {
        for (const partition of partitions) {
          const state = before.get(keyOf(topic, partition)) ?? { position: undefined, flowing: false }
          assigned.set(keyOf(topic, partition), state)
          if (state.position !== undefined) seekTo(topic, partition, state.position)
          if (!state.flowing) consumer.pause([{ topic, partitions: [partition] }])
          else consumer.resume([{ topic, partitions: [partition] }])
        }
      }
      const now = tasks().sort((a, b) => a - b)
      for (const task of now) owned.delete(task)
      guarded(() => handlers.assigned(now, [...owned]))
    },
    /** kafkajs has stopped, perhaps to start again: nothing can be told to it until the next join. */
    suspend: (): void => {
      running = false
    },
    stop: (): void => {
      stopped = true
      assigned = new Map()
    },
    pause: (topic: string, partition: number): void => {
      const state = assigned.get(keyOf(topic, partition))
      if (state === undefined) return
      state.flowing = false
      if (running) consumer.pause([{ topic, partitions: [partition] }])
    },
    resume: (topic: string, partition: number): void => {
      const state = assigned.get(keyOf(topic, partition))
      if (state === undefined) return
      if (state.position === undefined) {
        throw new BugError('RESUME_WITHOUT_SEEK', 'A partition must be sought before it flows', {
          facts: { topic, partition },
        })
      }
      state.flowing = true
      if (running) consumer.resume([{ topic, partitions: [partition] }])
    },
    seek: (topic: string, partition: number, offset: bigint): void => {
      const state = assigned.get(keyOf(topic, partition))
      if (state === undefined) return
      state.position = offset
      if (running) seekTo(topic, partition, offset)
    },
    deliver: ({ batch, isStale }: EachBatchPayload): void => {
      const { topic, partition } = batch
      const state = assigned.get(keyOf(topic, partition))
      if (stopped || state?.position === undefined || isStale()) return
      const { position } = state
      const nextOffset = BigInt(batch.lastOffset()) + 1n
      const records = (batch.messages as KafkaRecord[])
        .map((record) => toLogRecord(topic, partition, record))
        .filter(({ offset }) => offset >= position)
      if (records.length === 0) return
      state.position = nextOffset
      guarded(() => handlers.records(topic, partition, records, nextOffset))
    },
  }
}

const partitionIn = (key: string): number => Number(key.slice(key.lastIndexOf('/') + 1))

const failureOf = (error: unknown, groupId: string): ReelstreamError => {
  const { topic, partition } = originOf(error) as { topic?: string; partition?: number }
  return kafkaErrorOf(error) === 'OFFSET_OUT_OF_RANGE'
    ? new UpstreamError('POSITION_LOST', `${topic}/${partition} no longer holds the position of group ${groupId}`, {
        cause: error,
        facts: { groupId, topic, partition },
        retryable: false,
      })
    : asUpstreamError('GROUP_LOST', `The consumer of group ${groupId} has stopped`, error, { groupId })
}
