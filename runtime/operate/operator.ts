import { BadInputError, UpstreamError } from '../../platform/errors.ts'
import { newId } from '../../platform/ids.ts'
import type { Codec } from '../codec/avro.ts'
import { committedOffsets, membersOf } from '../kafka/admin.ts'
import type { Kafka } from '../kafka/client.ts'
import type { IdempotentProducer } from '../kafka/idempotent-producer.ts'
import type { PartitionReader } from '../kafka/partition-reader.ts'
import { inputTopicsOf, type Processor } from '../processor.ts'
import { changelogOf, kafkaTaskLog } from '../run/kafka-task-log.ts'
import type { TaskLog } from '../run/task-log.ts'
import type { BlockedKey, HeldOutput, OperatorRequest } from '../state/generated.ts'
import type { Queued } from '../task/blocked-keys.ts'
import { isPosition, isRequest, toRecord } from '../task/changelog.ts'
import { refusedOutputs } from '../task/held-outputs.ts'
import type { InputRange } from '../task/replay.ts'
import { TaskMemory } from '../task/task-memory.ts'
import { planReplay, type ReplayPlan } from './plan.ts'

/**
 * What an operator sees of processors and asks of them, from outside of the processes that run them.
 *
 * Everything is read from the changelogs, and what is asked is a record in a changelog, too: whoever runs the task
 * finds it there, at once or whenever it starts, carries it out in a transaction of the task, and removes it. So there
 * is no port to reach, nothing to lose, and nothing that a crash could do half.
 */
export interface Operator {
  /** Each task of a processor: how far it is, and what it waits with. */
  tasks(processor: Processor): Promise<readonly TaskSummary[]>
  /** Entries of a collection of one key, as of the last commit, in code-unit order of the id. */
  entries(processor: Processor, key: string, collection: string): Promise<readonly (readonly [string, unknown])[]>
  /** Keys that wait behind a failure, over all tasks. */
  blocked(processor: Processor): Promise<readonly BlockedSummary[]>
  /** One of them with everything that waits, in its order. BadInputError KEY_NOT_BLOCKED. */
  blockedKey(processor: Processor, key: string): Promise<BlockedDetails>
  /**
   * Folds the queue of a blocked key again, or puts the first that waits among the dead letters and goes on behind it.
   * Resolves when that is done, to why the key is blocked now, or null when it is free. BadInputError KEY_NOT_BLOCKED;
   * UpstreamError NOT_ANSWERED (retryable) when nobody runs the processor: it is done when somebody does.
   */
  unblock(processor: Processor, key: string, command: 'RETRY' | 'SKIP'): Promise<BlockedKey | null>
  /** What a replay from the beginning would have left to do. Reads everything, writes nothing. */
  plan(processor: Processor): Promise<ReplayPlan>
  /**
   * Forgets all that the processor remembers: its tasks replay their inputs when they start. Nobody may be running it:
   * BadInputError PROCESSOR_RUNNING. Resolves to the number of entries that were dropped.
   */
  reset(processor: Processor): Promise<number>
  /** Lets replays do what they have left to do. Resolves to the number of tasks that waited for it; NOT_ANSWERED. */
  release(processor: Processor): Promise<number>
}

export interface TaskSummary {
  readonly task: number
  /** `new`: no position; `other-version`, or one that read less: it will replay when it starts. */
  readonly state: 'new' | 'other-version' | 'replaying' | 'held' | 'live'
  /**
   * Records between the position and the end, by input. Markers count, so it may be a little more than there is; records
   * that a running processor only passes over may count for ten seconds.
   */
  readonly lag: Readonly<Record<string, number>>
  readonly pendingEffects: number
  readonly blockedKeys: number
}

export interface BlockedSummary extends BlockedKey {
  readonly task: number
  readonly key: string
  /** How much waits. */
  readonly queued: number
}

export interface BlockedDetails extends BlockedSummary {
  /** Events that a replay has held back and the log has refused: in front of the queue. */
  readonly outputs: readonly HeldOutput[]
  readonly queue: readonly Queued[]
}

export interface OperatorSettings {
  readonly kafka: Kafka
  readonly reader: PartitionReader
  readonly producer: IdempotentProducer
  readonly codec: Codec
  readonly appId: string
  /** How long to wait for an answer to what is asked, ms. Default 30 s: a task looks every two. */
  readonly patienceMs?: number
}

const POLL_MS = 250
const PATIENCE_MS = 30_000
/** Entries that a reset forgets in one transaction. */
const RESET_STEP = 2_000

export const openOperator = (settings: OperatorSettings): Operator => {
  const { kafka, reader, producer, codec, appId, patienceMs = PATIENCE_MS } = settings

  const logOf = (processor: Processor, task: number): TaskLog => kafkaTaskLog({ kafka, reader, appId, processor, task })

  const tasksOf = async (processor: Processor): Promise<readonly number[]> =>
    reader.partitions(inputTopicsOf(processor)[0] as string)

  const memoryOf = async (processor: Processor, task: number): Promise<TaskMemory> => {
    const memory = new TaskMemory(processor, codec)
    await logOf(processor, task).readChangelog((records) => {
      for (const record of records) memory.restore(record)
    })
    return memory
  }

  const blocked = async (processor: Processor) => {
    const found: BlockedDetails[] = []
    for (const task of await tasksOf(processor)) {
      const memory = await memoryOf(processor, task)
      for (const [key, why] of memory.blocked.entries()) {
        const [outputs, queue] = [refusedOutputs(memory, key), memory.blocked.queue(key)]
        found.push({ task, key, ...why, queued: outputs.length + queue.length, outputs, queue })
      }
    }
    return found
  }

  const blockedKey = async (processor: Processor, key: string) => {
    const found = (await blocked(processor)).find((entry) => entry.key === key)
    if (found !== undefined) return found
    throw new BadInputError('KEY_NOT_BLOCKED', `${processor.name} has no blocked key ${key}`)
  }

  /** Asks, and waits until the request is gone: the task has carried it out. */
  const ask = async (processor: Processor, task: number, value: OperatorRequest): Promise<void> => {
    const requestId = newId()
    const { key, value: bytes } = toRecord({ kind: 'request', requestId, value }, codec, {})
    const log = logOf(processor, task)
    let { next } = await log.readChangelog(() => undefined)
    await producer.send([{ topic: changelogOf(processor), partition: task, key, value: bytes, headers: {} }])
    const deadline = Date.now() + patienceMs
    for (let isDone = false; !isDone; ) {
      if (Date.now() > deadline) throw notAnswered(processor)
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
      const read = await log.readChangelog((records) => {
        isDone ||= records.some((record) => isRequest(record) && record.key === key && record.value === null)
      }, next)
      next = read.next
    }
  }

  return {
    tasks: async (processor) => {
      const summaries: TaskSummary[] = []
      const committed = await committedOffsets(kafka, processor.name, inputTopicsOf(processor))
      for (const task of await tasksOf(processor)) {
        const memory = await memoryOf(processor, task)
        const passed = (topic: string) => committed.get(topic)?.get(task) ?? 0n
        summaries.push(summaryOf(task, memory, await logOf(processor, task).inputRanges(), passed))
      }
      return summaries
    },
    entries: async (processor, key, collection) => {
      const memories = await Promise.all((await tasksOf(processor)).map((task) => memoryOf(processor, task)))
      return memories.flatMap((memory) => memory.store.entries(key, collection))
    },
    blocked,
    blockedKey,
    unblock: async (processor, key, command) => {
      const { task } = await blockedKey(processor, key)
      await ask(processor, task, { command, key, atMs: Date.now() })
      return (await memoryOf(processor, task)).blocked.get(key) ?? null
    },
    plan: async (processor) => {
      const logs = (await tasksOf(processor)).map((task) => [task, logOf(processor, task)] as const)
      return planReplay(processor, codec, `/${appId}/${processor.name}`, new Map(logs))
    },
    reset: async (processor) => {
      await requireStopped(kafka, processor)
      let dropped = 0
      for (const task of await tasksOf(processor)) dropped += await forget(logOf(processor, task))
      return dropped
    },
    release: async (processor) => {
      let released = 0
      for (const task of await tasksOf(processor)) {
        const memory = await memoryOf(processor, task)
        if (memory.replay === null || memory.replay.released) continue
        await ask(processor, task, { command: 'RELEASE', key: '', atMs: Date.now() })
        released += 1
      }
      return released
    },
  }
}

/** `passed`: as the processes say of themselves, every ten seconds. */
const summaryOf = (
  task: number,
  memory: TaskMemory,
  inputs: ReadonlyMap<string, InputRange>,
  passed: (topic: string) => bigint,
): TaskSummary => {
  const isThrough = Object.entries(memory.replay?.until ?? {}).every(
    ([topic, end]) => (memory.position.get(topic) ?? 0n) >= BigInt(end),
  )
  const replayed = memory.replay === null ? 'live' : isThrough ? 'held' : 'replaying'
  const state = memory.version === null ? 'new' : memory.isCurrent ? replayed : 'other-version'
  const lagOf = (topic: string, { beginning, end }: InputRange) => {
    const position = memory.position.get(topic) ?? beginning
    // The changelog learns late of records that were only passed over. What a group committed before a replay is void.
    const reached = state === 'live' && passed(topic) > position ? passed(topic) : position
    return Math.max(0, Number(end - reached))
  }
  return {
    task,
    state,
    lag: Object.fromEntries([...inputs].map(([topic, range]) => [topic, lagOf(topic, range)])),
    pendingEffects: memory.effects.size,
    blockedKeys: memory.blocked.size,
  }
}

/** Drops every entry of a task. Takes the task over first, so that nobody can be writing meanwhile. */
const forget = async (log: TaskLog): Promise<number> => {
  const writer = await log.open()
  try {
    const keys = new Set<string>()
    await log.readChangelog((records) => {
      for (const { key, value } of records) {
        if (value === null) keys.delete(key)
        else keys.add(key)
      }
    })
    const tombstones = [...keys].map((key) => ({ key, value: null }))
    // The position goes first: what is left of a reset that was interrupted is no memory to go on with.
    tombstones.sort((a, b) => Number(isPosition(b)) - Number(isPosition(a)))
    for (let from = 0; from < tombstones.length; from += RESET_STEP) {
      await writer.commit({ outputs: [], changelog: tombstones.slice(from, from + RESET_STEP) })
    }
    return tombstones.length
  } finally {
    await writer.close()
  }
}

const requireStopped = async (kafka: Kafka, { name }: Processor): Promise<void> => {
  const members = await membersOf(kafka, name)
  if (members === 0) return
  throw new BadInputError(
    'PROCESSOR_RUNNING',
    `${name} runs in ${members} ${members === 1 ? 'process' : 'processes'}: stop first what runs it, or --wait until nobody does`,
  )
}

const notAnswered = ({ name }: Processor): UpstreamError =>
  new UpstreamError(
    'NOT_ANSWERED',
    `No task of ${name} has answered: what was asked is in its changelog, and done as soon as one comes to it`,
  )
