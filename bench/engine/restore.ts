import { randomUUID } from 'node:crypto'
import { createIdempotentProducer } from '../../runtime/kafka/idempotent-producer.ts'
import type { OutputRecord } from '../../runtime/kafka/log-records.ts'
import { changelogOf } from '../../runtime/run/kafka-task-log.ts'
import { type Entry, toRecord } from '../../runtime/task/changelog.ts'
import { usageOfProcess } from '../process-usage.ts'
import { type FoldNames, foldProcessor, sampleInput } from './fold.ts'
import { startEngine } from './sides.ts'
import { fillInput, type Lab, prepareRun } from './topics.ts'

/** How a task comes back with a large changelog. */
export interface Restore {
  readonly entries: number
  /** From the start of the process to the task being ready, its memory rebuilt. */
  readonly readyMs: number
  /** From the first input after that to its output. */
  readonly firstOutputMs: number
  readonly rssBytes: number
}

const CHUNK = 5_000

/** `open` keys with state, and `finished` ones of which the marker of their end is left. */
export const measureRestore = async (lab: Lab, open: number, finished: number): Promise<Restore> => {
  const tag = randomUUID().slice(0, 8)
  const names: FoldNames = { name: `fold-${tag}`, input: `served-${tag}`, output: `folded-${tag}`, envelope: false }
  await fillInput(lab, { topic: names.input, records: 0, keys: 1, envelope: false })
  await prepareRun(lab, names)
  await writeChangelog(lab, names, open, finished)
  const startedAtMs = performance.now()
  const side = startEngine({ ...names, brokers: lab.brokers })
  try {
    await side.ready
    const readyMs = performance.now() - startedAtMs
    const { rssBytes } = usageOfProcess(side.pid)
    return { entries: open + finished, readyMs, firstOutputMs: await firstOutput(lab, names), rssBytes }
  } finally {
    await side.stop()
  }
}

const writeChangelog = async (lab: Lab, names: FoldNames, open: number, finished: number): Promise<void> => {
  const producer = createIdempotentProducer(lab.kafka)
  const processor = foldProcessor(names)
  const write = (entries: readonly Entry[]) =>
    producer.send(
      entries.map((entry): OutputRecord => {
        const { key, value } = toRecord(entry, lab.codec, processor.state)
        return { topic: changelogOf(processor), partition: 0, key, value, headers: {} }
      }),
    )
  const inChunks = async (count: number, entryOf: (n: number) => Entry) => {
    for (let n = 0; n < count; n += CHUNK) {
      await write(Array.from({ length: Math.min(CHUNK, count - n) }, (_, index) => entryOf(n + index)))
    }
  }
  await inChunks(open, (n) => {
    const key = `video-${n}`
    const value = { videoId: key, count: n, bytes: n * 1_000, lastSeq: n }
    return { kind: 'state', change: { key, collection: 'traffic', id: '', value } }
  })
  await inChunks(finished, (n) => ({ kind: 'closed', key: `finished-${n}`, value: { closedAtMs: Date.now() } }))
  await producer.close()
}

const firstOutput = async ({ kafka, reader, codec }: Lab, { input, output }: FoldNames): Promise<number> => {
  const producer = createIdempotentProducer(kafka)
  const stop = new AbortController()
  const startedAtMs = performance.now()
  await producer.send([sampleInput(codec, input, 0, 1, false)])
  for await (const { records } of reader.tail(output, 0, 0n, stop.signal)) if (records.length > 0) break
  stop.abort()
  await producer.close()
  return performance.now() - startedAtMs
}
