import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { readConfig } from '../platform/config.ts'
import { createIdempotentProducer } from '../runtime/kafka/idempotent-producer.ts'
import { sampleInput } from './engine/fold.ts'
import { withLab } from './engine/lab.ts'
import { startEngine } from './engine/sides.ts'
import { fillInput, type Lab, prepareRun } from './engine/topics.ts'
import { usageOfProcess } from './process-usage.ts'
import { keep, median } from './table.ts'

/**
 * Whether the engine's memory stays flat under work that does not end: a fold with four tasks and a bounded set of keys,
 * fed at a steady rate, looked at every ten seconds. At the end every input must have had its output.
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
const MB = 1024 * 1024

interface Look {
  readonly atMs: number
  readonly rssBytes: number
}

export const bench = ([minutes = String(MINUTES), rate = String(RATE)]: readonly string[]): Promise<void> => {
  const perTick = Math.round((Number(rate) * TICK_MS) / 1000)
  return withLab(readConfig(), async (lab) => {
    const lines = linesOf(await soak(lab, Number(minutes) * 60_000, perTick))
    if (Number(minutes) >= MINUTES) keep('soak', lines)
    else console.log(lines.join('\n'))
  })
}

const soak = async (lab: Lab, lengthMs: number, perTick: number) => {
  const tag = randomUUID().slice(0, 8)
  const names = { name: `fold-${tag}`, input: `soaked-${tag}`, output: `folded-${tag}`, envelope: true }
  await fillInput(lab, { topic: names.input, records: 0, keys: 1, envelope: true, partitions: TASKS })
  await prepareRun(lab, names, TASKS)
  const side = startEngine({ ...names, brokers: lab.brokers })
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
        looks.push({ atMs: sinceStart(), rssBytes: usageOfProcess(side.pid).rssBytes })
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

const linesOf = ({ looks, sent, folded }: Awaited<ReturnType<typeof soak>>): readonly string[] => {
  const warm = looks.filter(({ atMs }) => atMs >= WARM_MS)
  const quarter = Math.max(1, Math.floor(warm.length / 4))
  const mib = (some: readonly Look[]) => (median(some.map(({ rssBytes }) => rssBytes)) / MB).toFixed(0)
  const minutes = Map.groupBy(looks, ({ atMs }) => Math.floor(atMs / 60_000))
  return [
    `${TASKS} tasks, ${KEYS} keys, headers, a steady rate; memory of the process of the engine every ${LOOK_MS / 1000} s.`,
    `${sent} inputs, ${folded} outputs${folded === sent ? '' : ' (!)'}.`,
    '',
    `RSS, median of the first quarter after ${WARM_MS / 60_000} minutes: ${mib(warm.slice(0, quarter))} MiB; of the last quarter: ${mib(warm.slice(-quarter))} MiB.`,
    '',
    '| minute | RSS MiB |',
    '|---|---|',
    ...[...minutes].map(([minute, some]) => `| ${minute} | ${mib(some)} |`),
  ]
}
