/**
 * A member of a processor's consumer group: says which tasks are this process's, and pumps their records.
 *
 * kafkajs does the group protocol; nothing else of it is used. Every partition is paused there, so its consumer joins,
 * sends heartbeats and is told of rebalances (patch paused-membership). The records are fetched here (poller.ts), from
 * positions that are kept here: a rebalance, or a consumer that kafkajs has started anew, touches neither where a
 * partition stands nor whether it flows, and an idle group costs a heartbeat a second and a long poll in four.
 *
 * Positions are not kept in the group: the engine reads its own from the changelog, seeks and resumes. Committed offsets
 * are a lag gauge. A partition whose position the log no longer holds flows no more, for flowing past a hole would break
 * the order of facts; the others go on.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { ConsumerGroupJoinEvent, Kafka } from 'kafkajs'
import { BugError, type ReelstreamError, UpstreamError } from '../../platform/errors.ts'
import type { FetchedPartition, FetchPosition } from './fetch.ts'
import { asUpstreamError } from './kafka-errors.ts'
import type { LogRecord } from './log-records.ts'
import { createPoller } from './poller.ts'
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
   * Committed records of one partition, in order, from the sought position on, each once; none when only the position has
   * moved, over markers and what was aborted. Must only take them over: it is called between two heartbeats. Some may
   * still come after `pause`, none after the task was lost.
   */
  records(topic: string, partition: number, records: LogRecord[], nextOffset: bigint): void
  /** UpstreamError POSITION_LOST: the log does not hold the position of this partition, which is paused. */
  lost(topic: string, partition: number, error: ReelstreamError): void
  /**
   * The member is dead, called once: join anew, or exit. UpstreamError GROUP_LOST, ConfigError UNEQUAL_PARTITIONS or
   * KAFKA_UNAUTHORIZED, BugError HANDLER_THREW.
   */
  crashed(error: ReelstreamError): void
}

export interface OffsetOf {
  readonly topic: string
  readonly partition: number
  /** The next offset to be processed. */
  readonly offset: bigint
}

export interface SeenEnd {
  readonly offset: bigint
  /** How long ago that was, ms. One that flows is fetched every few seconds. */
  readonly ageMs: number
}

/** What concerns a partition that is not (any more) this member's does nothing: a task may be lost while it opens. */
export interface GroupMember {
  /** Stops fetching. Nothing comes until `resume`, then it goes on where it was. */
  pause(topic: string, partition: number): void
  /** Starts or goes on fetching. Throws BugError RESUME_WITHOUT_SEEK when no position is known. */
  resume(topic: string, partition: number): void
  /** The next record is the first one at or after this offset; what was fetched from elsewhere is dropped. */
  seek(topic: string, partition: number, offset: bigint): void
  /**
   * Where a partition ended when it was last fetched, what is undecided included; undefined before, and for one that is not
   * this member's.
   */
  endOffset(topic: string, partition: number): SeenEnd | undefined
  /** Whether a partition that should flow cannot be fetched at the moment; it is being tried again. */
  isFailing(): boolean
  /** For lag gauges only; what has not moved is not written again. Throws UpstreamError OFFSETS_NOT_COMMITTED; the next call makes up for it. */
  commitOffsets(offsets: readonly OffsetOf[]): Promise<void>
  /** Leaves the group, so that the tasks move at once. No handler is called any more. */
  leave(): Promise<void>
}

/**
 * How often the member says that it lives, ms, and so how soon it learns that another one wants to join: a rebalance
 * waits for all.
 */
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
    heartbeatInterval: HEARTBEAT_MS / 2, // shorter than its sleep, so that each one ends in a heartbeat
    rebalanceTimeout: REBALANCE_TIMEOUT_MS,
    maxWaitTimeInMs: HEARTBEAT_MS,
    allowAutoTopicCreation: false,
    retry: { restartOnFailure: async () => !ended },
  })
  const end = async (): Promise<void> => {
    ended = true
    await pump.stop()
    await Promise.race([joining, sleep(LONGEST_JOIN_MS, undefined, { ref: false })])
    await consumer.disconnect()
  }
  const crash = (error: unknown): void => {
    if (ended) return
    const failure = asUpstreamError('GROUP_LOST', `The consumer of group ${groupId} has stopped`, error, { groupId })
    end()
      .catch(() => {}) // it is lost anyway; what happened is in `failure`
      .finally(() => handlers.crashed(failure))
  }
  const pump = createPump(kafka, groupId, handlers, crash)

  try {
    await consumer.connect()
    await consumer.subscribe({ topics: [...topics], fromBeginning: true })
  } catch (error) {
    await consumer.disconnect().catch(() => {}) // it was never there
    throw asUpstreamError('GROUP_UNAVAILABLE', `Group ${groupId} could not be joined`, error, { groupId })
  }
  /** As it was committed last: an idle group need not say so again. */
  const gauge = new Map<string, bigint>()
  const everything = topics.map((topic) => ({ topic }))
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }: ConsumerGroupJoinEvent) => {
    // Told in the same turn, before kafkajs would begin to fetch; a consumer that it has started anew has forgotten it.
    consumer.pause(everything)
    memberId = payload.memberId
    gauge.clear() // others may have moved it
    if (!ended) pump.join(payload.memberAssignment)
  })
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (!payload.restart) crash(payload.error)
  })
  joining = consumer.run({ autoCommit: false, eachBatch: async () => {} }).catch(crash)

  return {
    pause: pump.pause,
    resume: pump.resume,
    seek: pump.seek,
    endOffset: pump.endOffset,
    isFailing: pump.isFailing,
    commitOffsets: async (offsets) => {
      const moved = offsets.filter(({ topic, partition, offset }) => gauge.get(keyOf(topic, partition)) !== offset)
      if (moved.length === 0) return
      const entries = moved.map(({ topic, partition, offset }) => ({ topic, partition, offset: String(offset) }))
      await consumer.commitOffsets(entries).catch((error: unknown) => {
        throw asUpstreamError('OFFSETS_NOT_COMMITTED', `The lag gauge of ${groupId} was not moved`, error, { groupId })
      })
      for (const { topic, partition, offset } of moved) gauge.set(keyOf(topic, partition), offset)
    },
    leave: end,
  }
}

interface PartitionState {
  readonly topic: string
  readonly partition: number
  /** The next offset to be handed out; undefined until the engine has sought. */
  position: bigint | undefined
  flowing: boolean
  /** Its high watermark when it was last fetched, and when that was. */
  end: { readonly offset: bigint; readonly atMs: number } | undefined
}

/** What is assigned, where each partition stands and whether it flows; and the fetching of what does. */
const createPump = (kafka: Kafka, groupId: string, handlers: GroupHandlers, crash: (error: unknown) => void) => {
  let assigned = new Map<string, PartitionState>()
  let stopped = false
  const tasks = (): number[] => [...new Set([...assigned.values()].map(({ partition }) => partition))]
  const stateOf = (topic: string, partition: number): PartitionState | undefined =>
    assigned.get(keyOf(topic, partition))

  const guarded = (act: () => void): void => {
    try {
      act()
    } catch (error) {
      stopped = true
      crash(new BugError('HANDLER_THREW', 'A handler of the group member threw', { cause: error }))
    }
  }

  const wanted = (): readonly FetchPosition[] =>
    [...assigned.values()].flatMap(({ topic, partition, position, flowing }) =>
      flowing && position !== undefined && !stopped ? [{ topic, partition, fromOffset: position }] : [],
    )
  const fetched = ({ topic, partition, fromOffset, records, nextOffset, highWatermark }: FetchedPartition): void => {
    const state = stateOf(topic, partition)
    if (state !== undefined) state.end = { offset: highWatermark, atMs: performance.now() }
    if (stopped || state?.flowing !== true || state.position !== fromOffset || nextOffset === fromOffset) return
    state.position = nextOffset
    guarded(() => handlers.records(topic, partition, records, nextOffset))
  }
  const lost = ({ topic, partition, fromOffset }: FetchPosition, error: unknown): void => {
    const state = stateOf(topic, partition)
    if (stopped || state?.flowing !== true || state.position !== fromOffset) return
    state.flowing = false
    guarded(() => handlers.lost(topic, partition, positionLost(groupId, state, error)))
  }
  const poller = createPoller(kafka, { wanted, fetched, lost, failed: crash })

  return {
    tasks,
    join: (assignment: Readonly<Record<string, number[]>>): void => {
      if (stopped) return
      const before = assigned
      const owned = new Set(tasks())
      assigned = new Map()
      for (const [topic, partitions] of Object.entries(assignment)) {
        for (const partition of partitions) {
          const key = keyOf(topic, partition)
          assigned.set(
            key,
            before.get(key) ?? { topic, partition, position: undefined, flowing: false, end: undefined },
          )
        }
      }
      const now = tasks().sort((a, b) => a - b)
      for (const task of now) owned.delete(task)
      guarded(() => handlers.assigned(now, [...owned]))
    },
    stop: async (): Promise<void> => {
      stopped = true
      assigned = new Map()
      await poller.close()
    },
    isFailing: () => poller.isFailing(),
    endOffset: (topic: string, partition: number): SeenEnd | undefined => {
      const end = stateOf(topic, partition)?.end
      return end && { offset: end.offset, ageMs: performance.now() - end.atMs }
    },
    pause: (topic: string, partition: number): void => {
      const state = stateOf(topic, partition)
      if (state !== undefined) state.flowing = false
    },
    resume: (topic: string, partition: number): void => {
      const state = stateOf(topic, partition)
      if (state === undefined) return
      if (state.position === undefined) {
        throw new BugError('RESUME_WITHOUT_SEEK', 'A partition must be sought before it flows', {
          facts: { topic, partition },
        })
      }
      state.flowing = true
      poller.wake()
    },
    seek: (topic: string, partition: number, offset: bigint): void => {
      const state = stateOf(topic, partition)
      if (state === undefined) return
      state.position = offset
      if (state.flowing) poller.wake()
    },
  }
}

const keyOf = (topic: string, partition: number): string => `${topic}/${partition}`

const positionLost = (
  groupId: string,
  { topic, partition, position }: PartitionState,
  error: unknown,
): UpstreamError => {
  const offset = String(position)
  const message = `${topic}/${partition} does not hold offset ${offset}, where ${groupId} stands: reset it, or restore the topic`
  return new UpstreamError('POSITION_LOST', message, {
    cause: error,
    facts: { groupId, topic, partition, offset },
    retryable: false,
  })
}
