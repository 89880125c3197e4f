import t, { type Test } from 'tap'
import { type GroupBed, groupMemberContract } from '../../kafka/group-member.contract.ts'
import { MemoryLog } from '../memory-log.ts'
import { CALM } from './faults.ts'
import { Network } from './network.ts'
import { createNotes } from './notes.ts'
import { seededRandom } from './random.ts'
import { SimulatedGroup } from './simulated-group.ts'
import { SimulatedProcess } from './simulated-process.ts'
import { VirtualTime } from './virtual-time.ts'

/** The group that the simulation runs on keeps the promises that the engine was built on, whatever the dice say. */
const SEEDS = 20
const TASKS = 4
/** Of virtual time. */
const AMPLE_MS = 60_000

const bedWith =
  (seed: number) =>
  async (_: Test): Promise<GroupBed> => {
    const random = seededRandom(seed)
    const time = new VirtualTime(random, 0)
    const notes = createNotes(false, () => time.nowMs)
    const network = new Network({ time, random, notes, plan: CALM, crash: () => undefined })
    const log: MemoryLog = new MemoryLog({
      now: () => time.nowMs,
      onReadable: (topic, partition) => group.wake(topic, partition),
    })
    const group = new SimulatedGroup({ time, random, notes, network, log, plan: CALM, tasks: TASKS })
    const topics = ['left', 'right'] as const
    for (const topic of topics) log.createTopic(topic, TASKS)
    const recordOf = (topic: string, partition: number, value: string) => {
      return { topic, partition, key: value, value: Buffer.from(value), headers: {} }
    }
    const until = async (what: string, holds: () => boolean): Promise<void> => {
      const end = time.nowMs + AMPLE_MS
      while (!holds()) {
        if (time.nowMs > end) throw new Error(`seed ${seed}: never: ${what}`)
        await time.runUntil(time.nowMs + 1)
      }
    }
    return {
      topics,
      join: (instanceId, handlers, busyTasks = []) => {
        const process = new SimulatedProcess(instanceId, time, random)
        const options = { groupId: 'group', topics, instanceId, busyTasks: () => [...busyTasks] }
        return group.join(process, options, handlers)
      },
      append: async (topic, partition, values) => {
        for (const value of values) log.produce(recordOf(topic, partition, value))
      },
      appendAborted: async (topic, partition, value) => {
        const session = log.initProducer('aborting')
        log.append(session, [recordOf(topic, partition, value)], 0)
        log.endTransaction(session, 'aborted')
      },
      until,
      done: async (promise) => {
        let isSettled = false
        const settled = () => {
          isSettled = true
        }
        promise.then(settled, settled)
        await until('the promise is settled', () => isSettled)
        return promise
      },
    }
  }

for (let seed = 1; seed <= SEEDS; seed++) t.test(`seed ${seed}`, async (t) => groupMemberContract(t, bedWith(seed)))
