import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import { type Scheduler, systemClock } from '../../platform/clock.ts'
import { UpstreamError } from '../../platform/errors.ts'
import { silentLogger } from '../../platform/log.ts'
import { createCodec } from '../codec/avro.ts'
import { memoryDirectory } from '../codec/schema-directory.ts'
import type { GroupHandlers, SeenEnd } from '../kafka/group-member.ts'
import { sendOrders } from '../testing/example.ts'
import { MemoryLog } from '../testing/memory-log.ts'
import { memoryTaskLog } from '../testing/memory-task-log.ts'
import { seededRandom } from '../testing/simulation/random.ts'
import { SimulatedProcess } from '../testing/simulation/simulated-process.ts'
import { VirtualTime } from '../testing/simulation/virtual-time.ts'
import { initialPositions } from './initial-positions.ts'
import { ProcessorHost } from './processor-host.ts'
import type { TaskLog } from './task-log.ts'

const CODEC = createCodec(memoryDirectory())

interface Options {
  readonly isMute?: boolean
  /** Default: one that answers when the test says so, and then is gone. */
  readonly logOf?: (task: number) => TaskLog
  readonly endOffset?: () => SeenEnd | undefined
}

/** A host in a group that says what the test says, on logs that take as long to answer as the test likes. */
const open = async (
  clock: Scheduler = systemClock,
  { isMute = false, logOf, endOffset = () => undefined }: Options = {},
) => {
  let group: GroupHandlers | undefined
  let joins = 0
  let leaves = 0
  const opened: number[] = []
  const answers: (() => void)[] = []
  const slow = async (): Promise<never> => {
    await new Promise<void>((resolve) => answers.push(resolve))
    throw new RangeError('the log is gone')
  }
  const taskLog = (task: number): TaskLog => {
    opened.push(task)
    return { open: slow, readChangelog: slow, inputRanges: slow, readInput: slow, readOutputs: slow }
  }
  const host = new ProcessorHost(
    { processor: sendOrders, executors: {} },
    {
      join: async (_options, handlers) => {
        group = handlers
        joins += 1
        return {
          pause: () => undefined,
          resume: () => undefined,
          seek: () => undefined,
          endOffset,
          isFailing: () => false,
          commitOffsets: async () => undefined,
          leave: () => {
            leaves += 1
            return isMute ? new Promise(() => undefined) : Promise.resolve()
          },
        }
      },
      taskLog: (_processor, task) => (logOf ?? taskLog)(task),
      codec: CODEC,
      learn: async () => undefined,
      appId: 'test',
      instanceId: 'p1',
      clock,
      log: silentLogger,
    },
  )
  await host.start()
  const answer = async (): Promise<void> => {
    for (const resolve of answers.splice(0)) resolve()
    for (let turn = 0; turn < 5; turn++) await nextTurn()
  }
  return { host, group: group as GroupHandlers, opened, answer, joins: () => joins, leaves: () => leaves }
}

const virtual = () => {
  const time = new VirtualTime(seededRandom(1), 0)
  return { time, clock: new SimulatedProcess('p1', time, seededRandom(1)).clock }
}

t.test('a task that comes back is opened when its last runner has let go', async (t) => {
  const { host, group, opened, answer } = await open()
  group.assigned([0], [])
  await nextTurn()
  group.assigned([], [0])
  group.assigned([0], [])
  await nextTurn()
  t.same(opened, [0], 'not beside the last one')
  await answer()
  t.same(opened, [0, 0])
  const stopped = host.stop()
  await answer()
  await stopped
})

t.test('a task that came back and was lost again meanwhile is not opened', async (t) => {
  const { host, group, opened, answer } = await open()
  group.assigned([0, 1], [])
  await nextTurn()
  group.assigned([1], [0])
  group.assigned([0, 1], [])
  group.assigned([1], [0])
  await answer()
  t.same(opened, [0, 1])
  t.same(
    host.report().map(({ task }) => task),
    [1],
  )
  const stopped = host.stop()
  await answer()
  await stopped
})

t.test('a member that is gone again and again joins later each time, and at once after a good while', async (t) => {
  const { time, clock } = virtual()
  const { host, group, joins } = await open(clock)
  const crash = () => group.crashed(new UpstreamError('GROUP_LOST', 'gone'))
  const waits: number[] = []
  for (let n = 0; n < 8; n++) {
    const before = { joins: joins(), atMs: time.nowMs }
    crash()
    while (joins() === before.joins) await time.runUntil(time.nowMs + 500)
    waits.push(Math.floor((time.nowMs - before.atMs) / 1_000))
  }
  t.same(waits, [0, 1, 2, 4, 8, 16, 30, 30], 's')
  await time.runUntil(time.nowMs + 60_000)
  crash()
  await time.runUntil(time.nowMs + 500)
  t.equal(joins(), 10)
  await host.stop()
})

t.test('a host that is stopped leaves its group in time, whatever its tasks wait for', async (t) => {
  const { time, clock } = virtual()
  const { host, group, leaves } = await open(clock)
  group.assigned([0, 1], [])
  group.assigned([0], [1])
  await time.runUntil(100)
  let stoppedAtMs: number | null = null
  void host.stop().then(() => {
    stoppedAtMs = time.nowMs
  })
  await time.runUntil(3_000)
  t.equal(leaves(), 0, 'they may still let go in order')
  await time.runUntil(4_000)
  t.equal(leaves(), 1)
  await time.runUntil(4_100)
  t.ok(stoppedAtMs !== null)
})

t.test('a group that does not answer either is left as it is', async (t) => {
  const { time, clock } = virtual()
  const { host, group } = await open(clock, { isMute: true })
  group.assigned([0], [])
  await time.runUntil(100)
  const stopped = host.stop()
  await time.runUntil(4_700)
  await stopped
  t.pass('stopped within 5 s')
})

t.test('the lag of a task that has stopped grows with its input, and is nobody’s guess', async (t) => {
  const { time, clock } = virtual()
  const log = new MemoryLog({ now: () => time.nowMs })
  for (const topic of ['orders', 'deliveries', 'send-orders-state']) log.createTopic(topic, 1)
  const offsets = async (topic: string, partition: number) => log.offsets(topic, partition)
  for (const record of await initialPositions([sendOrders], () => 1, { offsets }, CODEC)) log.produce(record)
  let isAway = false
  const durable = memoryTaskLog({
    log,
    transactionalId: 'test.send-orders.0',
    changelog: 'send-orders-state',
    task: 0,
    inputs: ['orders'],
    outputs: ['deliveries'],
  })
  const inputRanges = () =>
    isAway ? Promise.reject(new UpstreamError('PARTITION_UNREADABLE', 'away')) : durable.inputRanges()
  // It was fetched once, when it was empty.
  const fetchedAtMs = time.nowMs
  const endOffset = () => ({ offset: 0n, ageMs: time.nowMs - fetchedAtMs })
  const { host, group } = await open(clock, { logOf: () => ({ ...durable, inputRanges }), endOffset })
  const lag = () => host.report().map(({ state, inputs }) => [state, inputs[0]?.lag])
  group.assigned([0], [])
  for (let n = 0; n < 20; n++) await nextTurn()
  t.same(lag(), [['dormant', 0]])

  group.lost('orders', 0, new UpstreamError('POSITION_LOST', 'gone', { retryable: false }))
  for (let n = 0; n < 3; n++) log.produce({ topic: 'orders', partition: 0, key: 'o', value: Buffer.of(), headers: {} })
  await time.runUntil(time.nowMs + 25_000)
  t.same(lag(), [['failed', 3]])

  isAway = true
  await time.runUntil(time.nowMs + 45_000)
  t.same(lag(), [['failed', null]], 'what nobody can look up is not known')
  await host.stop()
})
