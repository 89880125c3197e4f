import { silentLogger } from '../../platform/log.ts'
import { createCodec } from '../codec/avro.ts'
import { envelopeHeaders } from '../codec/envelope.ts'
import { memoryDirectory } from '../codec/schema-directory.ts'
import { inputTopicsOf } from '../processor.ts'
import { type AnyExecutors, EffectSlots } from '../run/executors.ts'
import { initialPositions } from '../run/initial-positions.ts'
import { unobserved } from '../run/observer.ts'
import { TaskRunner } from '../run/task-runner.ts'
import * as shop from './example.ts'
import { MemoryLog } from './memory-log.ts'
import { memoryTaskLog, NoAnswer, type Request, type RequestName } from './memory-task-log.ts'
import { seededRandom } from './simulation/random.ts'
import { SimulatedProcess } from './simulation/simulated-process.ts'
import { VirtualTime } from './simulation/virtual-time.ts'

/**
 * One task runner of the example processor on a log in memory, on a clock that only the test moves: for what depends on
 * which answer of the log is lost, and when.
 */
export interface RunnerBed {
  readonly runner: TaskRunner
  /** Lets so much time pass, with all that happens in it. */
  pass(ms: number): Promise<void>
  place(key: string, boxes: number): void
  /** The next such requests are carried out, their answers do not come. */
  lose(answer: RequestName, times?: number): void
  /** Types of the facts about an order, in order. */
  facts(key: string): readonly string[]
}

const START_MS = Date.UTC(2026, 0, 1)
const CODEC = createCodec(memoryDirectory())

export const runnerBed = async (executorsOf: (process: SimulatedProcess) => AnyExecutors): Promise<RunnerBed> => {
  const random = seededRandom(1)
  const time = new VirtualTime(random, START_MS)
  const process = new SimulatedProcess('p1', time, random)
  const log = new MemoryLog({ now: () => time.nowMs })
  const processor = shop.sendOrders
  for (const topic of ['orders', 'deliveries', 'send-orders-state']) log.createTopic(topic, 1)
  const offsets = async (topic: string, partition: number) => log.offsets(topic, partition)
  for (const record of await initialPositions([processor], () => 1, { offsets }, CODEC)) log.produce(record)
  const lost: RequestName[] = []
  const request: Request = async (name, execute) => {
    await process.sleep(1)
    const answer = execute()
    if (name !== lost[0]) return answer
    lost.shift()
    throw new NoAnswer(name)
  }
  let position = 0n
  const runner = new TaskRunner({
    processor,
    executors: executorsOf(process),
    slots: new EffectSlots(processor.effects),
    task: 0,
    instanceId: 'p1',
    source: '/test/send-orders',
    codec: CODEC,
    log: silentLogger,
    observer: unobserved,
    clock: process.clock,
    taskLog: memoryTaskLog({
      log,
      transactionalId: 'test.send-orders.0',
      changelog: 'send-orders-state',
      task: 0,
      inputs: inputTopicsOf(processor),
      outputs: ['deliveries'],
      request,
    }),
    seek: (_topic, offset) => {
      position = offset
    },
    resume: () => time.after(1, process, deliver),
    pause: () => undefined,
    learn: async () => undefined,
  })
  const deliver = (): void => {
    const { records, nextOffset } = log.fetch('orders', 0, position)
    position = nextOffset
    if (records.length > 0) runner.deliver('orders', records, nextOffset)
  }
  let produced = 0
  const place = (key: string, boxes: number): void => {
    const schema = shop.OrderPlacedSchema
    const id = `input-${++produced}`
    const about = { id, type: schema.name, source: '/test', timeMs: time.nowMs, causationId: null, traceparent: null }
    log.produce({ topic: 'orders', key, value: CODEC.encode(schema, { boxes }), headers: envelopeHeaders(about) })
    time.after(1, process, deliver)
  }
  return {
    runner,
    pass: (ms) => time.runUntil(time.nowMs + ms),
    place,
    lose: (answer, times = 1) => lost.push(...Array<RequestName>(times).fill(answer)),
    facts: (key) =>
      log
        .readAll('deliveries')
        .filter((record) => record.key === key)
        .map(({ headers }) => (headers.ce_type ?? '').replace('shop.', '')),
  }
}
