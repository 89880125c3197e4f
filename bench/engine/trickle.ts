import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { UpstreamError } from '../../platform/errors.ts'
import { createIdempotentProducer } from '../../runtime/kafka/idempotent-producer.ts'
import { type FoldNames, sampleInput } from './fold.ts'
import type { Side } from './sides.ts'
import { fillInput, type Lab, prepareRun } from './topics.ts'

/** One hop under a trickle: from the call of the producer to the output as a read_committed consumer gets it, ms. */
export interface Latency {
  readonly p50Ms: number
  readonly p90Ms: number
  readonly p99Ms: number
}

const WARM_RECORDS = 100
const RECORDS = 500
/** Distance of two records, ms: 20 to 60, the same series for both sides. */
const gapMs = (n: number): number => 20 + ((n * 37) % 40)
const PATIENCE_MS = 30_000

export const measureTrickle = async (
  lab: Lab,
  envelope: boolean,
  start: (names: FoldNames) => Side | Promise<Side>,
): Promise<Latency> => {
  const tag = randomUUID().slice(0, 8)
  const names = { name: `fold-${tag}`, input: `trickle-${tag}`, output: `trickled-${tag}`, envelope }
  await fillInput(lab, { topic: names.input, records: 0, keys: 1, envelope })
  await prepareRun(lab, names)
  const side = await start(names)
  const seen = watchOutput(lab, names.output)
  const producer = createIdempotentProducer(lab.kafka)
  try {
    await side.ready
    const latenciesMs: number[] = []
    for (let n = 0; n < WARM_RECORDS + RECORDS; n++) {
      const arrival = seen.next()
      const sentAtMs = performance.now()
      await producer.send([sampleInput(lab.codec, names.input, n, 1_000, envelope)])
      const latencyMs = (await arrival) - sentAtMs
      if (n >= WARM_RECORDS) latenciesMs.push(latencyMs)
      await delay(Math.max(0, gapMs(n) - latencyMs))
    }
    return percentiles(latenciesMs)
  } finally {
    await producer.close()
    await seen.close()
    await side.stop()
  }
}

/** When the next record of the output is there. */
const watchOutput = ({ reader }: Lab, topic: string) => {
  const stop = new AbortController()
  let arrived: (atMs: number) => void = () => undefined
  const watching = (async () => {
    for await (const { records } of reader.tail(topic, 0, 0n, stop.signal)) {
      if (records.length > 0) arrived(performance.now())
    }
  })()
  return {
    next: async (): Promise<number> => {
      const { promise, resolve } = Promise.withResolvers<number>()
      arrived = resolve
      const never = delay(PATIENCE_MS, undefined, { ref: false }).then(() => {
        throw new UpstreamError('BENCH_FAILED', `${topic} got no record within ${PATIENCE_MS / 1000} s`)
      })
      return Promise.race([promise, never])
    },
    close: async () => {
      stop.abort()
      await watching
    },
  }
}

const percentiles = (values: readonly number[]): Latency => {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
  return { p50Ms: at(0.5), p90Ms: at(0.9), p99Ms: at(0.99) }
}
