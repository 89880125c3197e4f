import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { createIdempotentProducer } from '../../runtime/kafka/idempotent-producer.ts'
import { usageOfProcess } from '../process-usage.ts'
import { type FoldNames, sampleInput } from './fold.ts'
import { startEngine } from './sides.ts'
import { fillInput, type Lab, prepareRun } from './topics.ts'

/** What a process costs that has work for nobody: all its tasks open, with a producer each. */
export interface Idle {
  readonly tasks: number
  readonly cpuShare: number
  readonly rssBytes: number
  readonly sockets: number
}

const SETTLE_MS = 10_000
const WINDOW_MS = 30_000

export const measureIdle = async (lab: Lab, tasks: number): Promise<Idle> => {
  const tag = randomUUID().slice(0, 8)
  const names: FoldNames = { name: `fold-${tag}`, input: `served-${tag}`, output: `folded-${tag}`, envelope: false }
  await fillInput(lab, { topic: names.input, records: 0, keys: 1, envelope: false, partitions: tasks })
  await prepareRun(lab, names, tasks)
  const side = startEngine({ ...names, brokers: lab.brokers })
  try {
    await side.ready
    await wakeEach(lab, names, tasks)
    await delay(SETTLE_MS)
    const before = usageOfProcess(side.pid)
    await delay(WINDOW_MS)
    const after = usageOfProcess(side.pid)
    const { rssBytes, sockets } = after
    return { tasks, cpuShare: (after.cpuMs - before.cpuMs) / WINDOW_MS, rssBytes, sockets }
  } finally {
    await side.stop()
  }
}

/** A task without work holds no producer: one record each, and all are open. */
const wakeEach = async ({ kafka, codec }: Lab, { input }: FoldNames, tasks: number): Promise<void> => {
  const producer = createIdempotentProducer(kafka)
  const all = Array.from({ length: tasks }, (_, partition) => partition)
  await producer.send(all.map((partition) => ({ ...sampleInput(codec, input, partition, tasks, false), partition })))
  await producer.close()
}
