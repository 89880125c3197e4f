import { type Logger, silentLogger } from '../../platform/log.ts'
import { type AvroSchema, createCodec } from '../codec/avro.ts'
import { envelopeHeaders } from '../codec/envelope.ts'
import { memoryDirectory, type SchemaDirectory } from '../codec/schema-directory.ts'
import type { OutputRecord } from '../kafka/log-records.ts'
import { foldedBy, inputTopicsOf, type Processor, type TopicRef } from '../processor.ts'
import { type AnyExecutors, EffectSlots } from '../run/executors.ts'
import { initialPositions } from '../run/initial-positions.ts'
import { TASK_LIMITS, type TaskLimits } from '../run/limits.ts'
import { unobserved } from '../run/observer.ts'
import { TaskRunner } from '../run/task-runner.ts'
import { type OperatorRequest, PositionSchema } from '../state/generated.ts'
import { isPosition, toRecord } from '../task/changelog.ts'
import { DEAD_LETTERS_TOPIC } from '../task/dead-letter.ts'
import { refusedOutputs } from '../task/held-outputs.ts'
import { TaskMemory } from '../task/task-memory.ts'
import * as shop from './example.ts'
import { BrokerRefusal, MemoryLog } from './memory-log.ts'
import { memoryTaskLog, NoAnswer, type Request, type RequestName } from './memory-task-log.ts'
import { seededRandom } from './simulation/random.ts'
import { SimulatedProcess } from './simulation/simulated-process.ts'
import { VirtualTime } from './simulation/virtual-time.ts'

/**
 * One task runner of the example processor on a log in memory, on a clock that only the test moves: for what depends on
 * which answer of the log is lost, and when.
 */
export interface RunnerBed {
  readonly log: MemoryLog
  /** The one that was started last. */
  readonly runner: TaskRunner
  /** Lets so much time pass, with all that happens in it. */
  pass(ms: number): Promise<void>
  /** The process dies, another one takes over, with other code if there is some. */
  restart(code?: Processor): void
  /** The changelog is lost. */
  forget(): void
  /** Somebody takes the task over, and does nothing with it. */
  fence(): void
  /** The process ends when it is asked to, another one takes over. Resolves with how long the end took, ms. */
  deploy(): Promise<number>
  /** Any event of the shop's; `headers` beside those of its envelope. */
  pipe(topic: TopicRef, event: string, key: string, data: object, headers?: Readonly<Record<string, string>>): void
  place(key: string, boxes: number): void
  /** An order that nobody has given a key. */
  placeKeyless(boxes: number): void
  /** An order without boxes, written with a schema of this id. */
  placeUnlearned(key: string, schemaId: number): void
  /** Records that the processor does not read. */
  placeOthers(count: number): void
  /** Another owner of the task commits that it has folded what is before this offset. */
  moveBehindItsBack(offset: number): void
  /** The next such requests are carried out, their answers do not come. */
  lose(answer: RequestName, times?: number): void
  /** From now on the broker refuses such requests, with this error of its own. */
  refuse(name: RequestName, reason: string): void
  /** From now on the broker takes no record of this kind from the task; null: it takes all again. */
  reject(isRejected: ((record: OutputRecord) => boolean) | null): void
  /** Keys that wait, as the changelog has it, with why; and how much waits with each. */
  blocked(): readonly { readonly key: string; readonly code: string; readonly queued: number }[]
  /** Such requests do not arrive until the returned function is called. */
  hold(name: RequestName): () => void
  /** What an operator asks of the task, as `reelstream` writes it. */
  ask(command: OperatorRequest['command'], key?: string): void
  /** Such requests so far. */
  requests(name: RequestName): number
  /** Changelog entries that each restore has read. */
  readonly restored: readonly number[]
  /** The position that the changelog has. */
  committed(): number | undefined
  /** Whether the task has an input fetched. */
  isFetching(topic: string): boolean
  /** Types of the facts about an order, in order. */
  facts(key: string): readonly string[]
}

export interface RunnerBedOptions {
  readonly processor?: Processor
  /** Default: there is nothing to learn. */
  readonly learn?: (schemaId: number, directory: SchemaDirectory) => Promise<void>
  /** The changelog holds nothing. Default: it holds a first position. */
  readonly isNew?: boolean
  /** Records of an input before the task exists. */
  readonly before?: number
  /** Default: says nothing. */
  readonly logger?: Logger
  readonly limits?: TaskLimits
}

const START_MS = Date.UTC(2026, 0, 1)
const DIRECTORY = memoryDirectory()
const CODEC = createCodec(DIRECTORY)
const CHANGELOG = 'send-orders-state'
const TRANSACTIONAL_ID = 'test.send-orders.0'
interface Flow {
  position: bigint
  flowing: boolean
}

/** More than a mailbox takes: what a fetch of small records brings. */
const FETCH_RECORDS = 5_000

export const runnerBed = async (
  executorsOf: (process: SimulatedProcess) => AnyExecutors,
  options: RunnerBedOptions = {},
): Promise<RunnerBed> => {
  const { limits = TASK_LIMITS, logger = silentLogger, learn = async () => undefined } = options
  const { isNew = false, before = 0 } = options
  let { processor = shop.sendOrders } = options
  const random = seededRandom(1)
  const time = new VirtualTime(random, START_MS)
  let isRejected: ((record: OutputRecord) => boolean) | null = null
  const refusalOf = (record: OutputRecord) => (isRejected?.(record) === true ? 'POLICY_VIOLATION' : null)
  const log = new MemoryLog({ now: () => time.nowMs, refusalOf })
  for (const topic of ['orders', 'deliveries', DEAD_LETTERS_TOPIC, CHANGELOG]) log.createTopic(topic, 1)
  const offsets = async (topic: string, partition: number) => log.offsets(topic, partition)
  if (!isNew) for (const record of await initialPositions([processor], () => 1, { offsets }, CODEC)) log.produce(record)
  const lost: RequestName[] = []
  const refused = new Map<RequestName, string>()
  const held = new Map<RequestName, Promise<void>>()
  const requested: RequestName[] = []
  const restored: number[] = []
  const inputs = inputTopicsOf(processor)
  const flows = new Map(inputs.map((topic) => [topic, { position: 0n, flowing: false }]))
  let process: SimulatedProcess
  let runner: TaskRunner

  const deliver = (to: TaskRunner, topic: string, flow: Flow): void => {
    if (to !== runner || !flow.flowing) return
    const { records, nextOffset } = log.fetch(topic, 0, flow.position, FETCH_RECORDS)
    if (nextOffset === flow.position) return
    flow.position = nextOffset
    runner.deliver(topic, records, nextOffset)
    deliverSoon()
  }
  const deliverSoon = (): void => {
    const to = runner
    for (const [topic, flow] of flows) time.after(1, process, () => deliver(to, topic, flow))
  }
  const flowOf = (topic: string): Flow => flows.get(topic) as Flow
  const start = (): void => {
    process = new SimulatedProcess('p1', time, random)
    const dying = process
    const request: Request = async (name, execute) => {
      await dying.sleep(1)
      requested.push(name)
      await held.get(name)
      const refusal = refused.get(name)
      if (refusal !== undefined) throw new BrokerRefusal(refusal)
      const answer = execute()
      if (name !== lost[0]) return answer
      lost.shift()
      throw new NoAnswer(name)
    }
    for (const flow of flows.values()) flow.flowing = false
    runner = new TaskRunner({
      processor,
      executors: executorsOf(process),
      slots: new EffectSlots(processor.effects),
      limits,
      task: 0,
      instanceId: 'p1',
      source: '/test/send-orders',
      codec: CODEC,
      log: logger,
      observer: { ...unobserved, restored: (_processor, _task, _tookMs, entries) => void restored.push(entries) },
      clock: process.clock,
      taskLog: memoryTaskLog({
        log,
        transactionalId: TRANSACTIONAL_ID,
        changelog: CHANGELOG,
        task: 0,
        inputs,
        outputs: ['deliveries'],
        request,
      }),
      seek: (topic, offset) => {
        flowOf(topic).position = offset
      },
      resume: (topic) => {
        flowOf(topic).flowing = true
        deliverSoon()
      },
      pause: (topic) => {
        flowOf(topic).flowing = false
      },
      learn: (schemaId) => learn(schemaId, DIRECTORY),
    })
  }

  let produced = 0
  const produce = (key: string | null, type: string, value: Buffer, topic = 'orders', extra = {}): void => {
    const id = `input-${++produced}`
    const about = { id, type, source: '/test', timeMs: time.nowMs, causationId: null, traceparent: null }
    const headers = { ...envelopeHeaders(about), ...extra }
    // Only producers of ours give every record a key.
    log.produce({ topic, key: key as string, partition: 0, value, headers })
    deliverSoon()
  }
  const pipe: RunnerBed['pipe'] = (topic, event, key, data, headers) => {
    const schema = topic.events[event] as AvroSchema<object>
    produce(key, schema.name, CODEC.encode(schema, data), topic.name, headers)
  }
  const pass = (ms: number): Promise<void> => {
    time.after(0, process, () => undefined) // promises are settled with events
    return time.runUntil(time.nowMs + ms)
  }
  const others = (count: number): void => {
    for (let n = 0; n < count; n++) produce('o', 'shop.Other', Buffer.from('whatever'))
  }
  others(before)
  start()
  return {
    log,
    get runner() {
      return runner
    },
    restored,
    pass,
    restart: (code = processor) => {
      processor = code
      process.kill()
      start()
    },
    deploy: async () => {
      const askedAtMs = time.nowMs
      let endedAtMs: number | null = null
      void runner.close().then(() => {
        endedAtMs = time.nowMs
      })
      while (endedAtMs === null) await pass(10)
      process.kill()
      start()
      return endedAtMs - askedAtMs
    },
    pipe,
    isFetching: (topic) => flowOf(topic).flowing,
    forget: () => log.truncate(CHANGELOG, 0),
    fence: () => void log.initProducer(TRANSACTIONAL_ID),
    place: (key, boxes) => pipe(shop.orders, 'OrderPlaced', key, { boxes }),
    placeKeyless: (boxes) =>
      produce(null, shop.OrderPlacedSchema.name, CODEC.encode(shop.OrderPlacedSchema, { boxes })),
    placeUnlearned: (key, schemaId) => {
      const value = CODEC.encode(shop.OrderPlacedSchema, { boxes: 0 })
      value.writeInt32BE(schemaId, 1)
      produce(key, shop.OrderPlacedSchema.name, value)
    },
    placeOthers: others,
    moveBehindItsBack: (offset) => {
      const { version } = processor
      const position = { offsets: { orders: offset }, recordTimeMs: 0, changelogStart: 0 }
      const value = { ...position, version, reads: foldedBy(processor) }
      const entry = toRecord({ kind: 'position', value }, CODEC, processor.state)
      log.produce({ topic: CHANGELOG, partition: 0, ...entry, headers: {} })
    },
    lose: (answer, times = 1) => lost.push(...Array<RequestName>(times).fill(answer)),
    refuse: (name, reason) => void refused.set(name, reason),
    reject: (records) => {
      isRejected = records
    },
    blocked: () => {
      const memory = memoryIn(log, processor)
      return memory.blocked.entries().map(([key, { code }]) => {
        const queued = memory.blocked.queue(key).length + refusedOutputs(memory, key).length
        return { key, code, queued }
      })
    },
    hold: (name) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      held.set(name, promise)
      return () => {
        held.delete(name)
        resolve()
      }
    },
    ask: (command, key = '') => {
      const value = { command, key, atMs: time.nowMs }
      const request = { kind: 'request', requestId: `request-${++produced}`, value } as const
      log.produce({ topic: CHANGELOG, partition: 0, ...toRecord(request, CODEC, processor.state), headers: {} })
    },
    requests: (name) => requested.filter((each) => each === name).length,
    committed: () => positionIn(log),
    facts: (key) =>
      log
        .readAll('deliveries')
        .filter((record) => record.key === key)
        .map(({ headers }) => (headers.ce_type ?? '').replace('shop.', '')),
  }
}

const memoryIn = (log: MemoryLog, processor: Processor): TaskMemory => {
  const memory = new TaskMemory(processor, CODEC)
  for (const { key, value } of log.readAll(CHANGELOG)) memory.restore({ key: key ?? '', value })
  return memory
}

const positionIn = (log: MemoryLog): number | undefined => {
  const last = log.readAll(CHANGELOG).findLast(({ key }) => isPosition({ key: key ?? '', value: null }))
  return last?.value == null ? undefined : CODEC.decode(PositionSchema, last.value).offsets.orders
}
