import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { UpstreamError } from '../../platform/errors.ts'
import { usageOfProcess } from '../process-usage.ts'
import type { FoldNames } from './fold.ts'
import type { Side } from './sides.ts'
import { type InputSpec, type Lab, prepareRun } from './topics.ts'

/** How fast one side went through an input that was there before it started. */
export interface Throughput {
  readonly recordsPerCpuSecond: number
  readonly recordsPerSecond: number
  readonly rssBytes: number
  readonly names: FoldNames
}

/** What is measured begins when this part of the output is there: starting, joining and the first compilation are not. */
const WARM_SHARE = 0.05
const POLL_MS = 20
const LONGEST_RUN_MS = 600_000

/**
 * Runs one side to the end of the input. CPU time is user and system time of the whole process, collectors and compilers
 * included. Progress is read off the end of the output, which counts transaction markers, too: the rates are corrected by
 * their share. Ids of outputs derive from the name, so sides whose outputs are to be equal get the same one.
 */
export const measureThroughput = async (
  lab: Lab,
  spec: InputSpec,
  start: (names: FoldNames) => Side | Promise<Side>,
  name = `fold-${randomUUID().slice(0, 8)}`,
): Promise<Throughput> => {
  const { topic: input, records, envelope, partitions = 1 } = spec
  const names: FoldNames = { name, input, output: `folded-${randomUUID().slice(0, 8)}`, envelope }
  await prepareRun(lab, names, partitions)
  const side = await start(names)
  try {
    const begin = await reached(lab, side, names.output, partitions, records * WARM_SHARE)
    const end = await reached(lab, side, names.output, partitions, records)
    const markers = (await settledEnd(lab, names.output, partitions)) / records
    const done = (end.offset - begin.offset) / markers
    return {
      recordsPerCpuSecond: (done / (end.cpuMs - begin.cpuMs)) * 1000,
      recordsPerSecond: (done / (end.atMs - begin.atMs)) * 1000,
      rssBytes: end.rssBytes,
      names,
    }
  } finally {
    await side.stop()
  }
}

const endOf = async ({ reader }: Lab, topic: string, partitions: number): Promise<number> => {
  const tasks = Array.from({ length: partitions }, (_, partition) => partition)
  const ends = await Promise.all(tasks.map((partition) => reader.offsets(topic, partition)))
  return ends.reduce((sum, { end }) => sum + Number(end), 0)
}

const reached = async (lab: Lab, { pid }: Side, topic: string, partitions: number, wanted: number) => {
  const deadline = performance.now() + LONGEST_RUN_MS
  for (;;) {
    const offset = await endOf(lab, topic, partitions)
    if (offset >= wanted) {
      const { cpuMs, rssBytes } = usageOfProcess(pid)
      return { offset, atMs: performance.now(), cpuMs, rssBytes }
    }
    if (performance.now() > deadline) throw new UpstreamError('BENCH_FAILED', `${topic} stands at ${offset}`)
    await delay(POLL_MS)
  }
}

/** The end when nothing has been added for a while. */
const settledEnd = async (lab: Lab, topic: string, partitions: number): Promise<number> => {
  for (let before = -1; ; ) {
    const offset = await endOf(lab, topic, partitions)
    if (offset === before) return offset
    before = offset
    await delay(1_000)
  }
}
