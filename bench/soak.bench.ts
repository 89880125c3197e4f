import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { readConfig } from '../platform/config.ts'
import { UpstreamError } from '../platform/errors.ts'
import { createIdempotentProducer } from '../runtime/kafka/idempotent-producer.ts'
import { sampleInput } from './engine/fold.ts'
import { withLab } from './engine/lab.ts'
import { DEPLOYED_FLAGS, startEngine } from './engine/sides.ts'
import { fillInput, type Lab, prepareRun } from './engine/topics.ts'
import { usageOfProcess } from './process-usage.ts'
import { keep, median } from './table.ts'

/**
 * Whether the engine's memory stays flat under work that does not end: a fold with four tasks and a bounded set of keys,
 * fed at a steady rate, looked at every ten seconds. What is alive after a full collection may not grow, and at the end every
 * input must have had its output: it fails otherwise.
 *
 * `npm run bench -- soak [minutes] [records a second]`; one that is shorter is printed and not kept.
 */
const MINUTES = 20
const RATE = 2_000
const TASKS = 4
const KEYS = 20_000
const TICK_MS = 100
const LOOK_MS = 10_000
/** Left out: code is being compiled, and every key comes for the first time. */
const WARM_MS = 2 * 60_000
const PATIENCE_MS = 60_000
/** Of the live heap, from the first quarter to the last. What is in flight at the moment of a look differs by so much. */
const MOST_GROWTH = 1.1
const MB = 1024 * 1024

interface Look {
  readonly atMs: number
  readonly rssBytes: number
  readonly liveBytes: number
}

export const bench = ([minutes = String(MINUTES), rate = String(RATE)]: readonly string[]): Promise<void> => {
  const perTick = Math.round((Number(rate) * TICK_MS) / 1000)
  return withLab(readConfig(), async (lab) => {
    const soaked = await soak(lab, Number(minutes) * 60_000, perTick)
    const lines = linesOf(soaked)
    if (Number(minutes) >= MINUTES) keep('soak', lines)
    else console.log(lines.join('\n'))
    requireFlat(soaked)
  })
}

type Soaked = Awaited<ReturnType<typeof soak>>

const soak = async (lab: Lab, lengthMs: number, perTick: number) => {
  const tag = randomUUID().slice(0, 8)
  const names = { name: `fold-${tag}`, input: `soaked-${tag}`, output: `folded-${tag}`, envelope: true }
  await fillInput(lab, { topic: names.input, records: 0, keys: 1, envelope: true, partitions: TASKS })
  await prepareRun(lab, names, TASKS)
  const side = startEngine({ ...names, brokers: lab.brokers, nodeFlags: [...DEPLOYED_FLAGS, '--expose-gc'] })
  const producer = createIdempotentProducer(lab.kafka)
  const looks: Look[] = []
  let sent = 0
  try {
    await side.ready
    const startedAt = performance.now()
    const sinceStart = () => performance.now() - startedAt
    while (sinceStart() < lengthMs) {
      const numbers = Array.from({ length: perTick }, (_, n) => sent + n)
      await producer.send(numbers.map((n) => sampleInput(lab.codec, names.input, n, KEYS, true)))
      sent += perTick
      if (sinceStart() >= (looks.length + 1) * LOOK_MS) {
        const { rssBytes } = usageOfProcess(side.pid)
        looks.push({ atMs: sinceStart(), rssBytes, liveBytes: await side.liveHeapBytes() })
      }
      await delay(Math.max(0, (sent / perTick) * TICK_MS - sinceStart()))
    }
    return { looks, sent, folded: await foldedOf(lab, names.output, sent) }
  } finally {
    await producer.close()
    await side.stop()
  }
}

/** Committed outputs, once there are as many as inputs, or no more within the patience. */
const foldedOf = async ({ reader }: Lab, topic: string, expected: number): Promise<number> => {
  const positions = Array.from({ length: TASKS }, () => 0n)
  let count = 0
  for (const deadline = Date.now() + PATIENCE_MS; count < expected && Date.now() < deadline; await delay(TICK_MS)) {
    for (const [partition, from] of positions.entries()) {
      positions[partition] = await reader.readToEnd(topic, partition, from, (records) => {
        count += records.length
      })
    }
  }
  return count
}

/** Medians of the first and the last quarter of what was seen when it was warm. */
const quartersOf = (looks: readonly Look[], of: (look: Look) => number): { first: number; last: number } => {
  const warm = looks.filter(({ atMs }) => atMs >= WARM_MS).map(of)
  const quarter = Math.max(1, Math.floor(warm.length / 4))
  return { first: median(warm.slice(0, quarter)), last: median(warm.slice(-quarter)) }
}

const requireFlat = ({ looks, sent, folded }: Soaked): void => {
  const { first, last } = quartersOf(looks, ({ liveBytes }) => liveBytes)
  if (folded !== sent) throw new UpstreamError('BENCH_FAILED', `${sent} inputs had ${folded} outputs`)
  if (last > first * MOST_GROWTH)
    throw new UpstreamError('BENCH_FAILED', `the heap grew from ${first} to ${last} bytes`)
}

const linesOf = ({ looks, sent, folded }: Soaked): readonly string[] => {
  const mib = (bytes: number) => (bytes / MB).toFixed(0)
  const live = quartersOf(looks, ({ liveBytes }) => liveBytes)
  const rss = quartersOf(looks, ({ rssBytes }) => rssBytes)
  const minutes = Map.groupBy(looks, ({ atMs }) => Math.floor(atMs / 60_000))
  return [
    `${TASKS} tasks, ${KEYS} keys, headers, a steady rate; the process of the engine, looked at every ${LOOK_MS / 1000} s; each look ends with a full collection.`,
    `${sent} inputs, ${folded} outputs${folded === sent ? '' : ' (!)'}.`,
    '',
    `Medians of the first and the last quarter after ${WARM_MS / 60_000} minutes: live heap ${mib(live.first)} and ${mib(live.last)} MiB, RSS ${mib(rss.first)} and ${mib(rss.last)} MiB.`,
    '',
    '| minute | live heap MiB | RSS MiB |',
    '|---|---|---|',
    ...[...minutes].map(
      ([minute, some]) =>
        `| ${minute} | ${mib(median(some.map(({ liveBytes }) => liveBytes)))} | ${mib(median(some.map(({ rssBytes }) => rssBytes)))} |`,
    ),
  ]
}
