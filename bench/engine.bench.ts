import { randomUUID } from 'node:crypto'
import { loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { readConfig } from '../platform/config.ts'
import { ConfigError, UpstreamError } from '../platform/errors.ts'
import type { FoldNames } from './engine/fold.ts'
import { measureIdle } from './engine/idle.ts'
import { buildJava, type Java } from './engine/java.ts'
import { withLab } from './engine/lab.ts'
import { measureRestore } from './engine/restore.ts'
import { COMMIT_INTERVAL_MS, DEPLOYED_FLAGS, type Side, startEngine, startStreams } from './engine/sides.ts'
import { measureThroughput, type Throughput } from './engine/throughput.ts'
import { fillInput, type Lab } from './engine/topics.ts'
import { measureTrickle } from './engine/trickle.ts'
import { keep, median } from './table.ts'

/**
 * P6: the stream engine against Kafka Streams (exactly_once_v2) on the same fold, the same broker and the same cores,
 * taking turns; and what it costs alone: latency of one hop, restoring, idling, growing.
 *
 * `npm run bench -- engine` (an hour), with `--pairs 3` half of that, or a part of it, which is printed and not kept:
 * `npm run bench -- engine --only throughput --records 300000 --pairs 1 --sides engine --profile /tmp/profiles`
 */
const OPTIONS = {
  only: { type: 'string', default: 'throughput,trickle,restore,idle,growth' },
  records: { type: 'string', default: '1500000' },
  pairs: { type: 'string', default: '5' },
  sides: { type: 'string', default: 'engine,streams' },
  envelope: { type: 'string', default: 'none,cloudevents' },
  profile: { type: 'string' },
} as const
/** In shorter runs the Java side has not been compiled yet: they are printed, not kept. */
const LEAST_PUBLISHED = 1_500_000
/** More than the inputs of a commit, so that no two changes of one key meet in a transaction. */
const KEYS = 10_000
const MB = 1024 * 1024

interface Bench {
  readonly lab: Lab
  readonly java: Java
  readonly records: number
  readonly pairs: number
  readonly sides: readonly string[]
  readonly envelopes: readonly boolean[]
  readonly profileDir: string | undefined
  /** Of the machine, after each pair: who else was on the cores. */
  readonly loads: number[]
}

export const bench = async (args: readonly string[]): Promise<void> => {
  const { values } = parseArgs({ args: [...args], options: OPTIONS })
  const config = readConfig()
  const java = await buildJava(config)
  await withLab(config, async (lab) => {
    const one: Bench = {
      lab,
      java,
      records: Number(values.records),
      pairs: Number(values.pairs),
      sides: values.sides.split(','),
      envelopes: values.envelope.split(',').map((envelope) => envelope === 'cloudevents'),
      profileDir: values.profile,
      loads: [],
    }
    const lines: string[] = []
    for (const part of values.only.split(',')) lines.push(...(await partOf(part)(one)), '')
    const isWhole = values.only === OPTIONS.only.default && values.sides === OPTIONS.sides.default
    if (isWhole && one.records >= LEAST_PUBLISHED) keep('engine', lines)
    else console.log(lines.join('\n'))
  })
}

/** Lines of the table of each part. */
const PARTS: Readonly<Record<string, (bench: Bench) => Promise<readonly string[]>>> = {
  throughput: async (bench) => {
    const rows: string[] = []
    for (const envelope of bench.envelopes) rows.push(...(await throughputRows(bench, envelope)))
    return [
      `## Throughput`,
      '',
      `Kafka Streams 4.3.1, exactly_once_v2, its own commit interval (${COMMIT_INTERVAL_MS} ms), in-memory store, serial collector; the engine with ${DEPLOYED_FLAGS.join(' ')}.`,
      `${bench.records} records, ${bench.pairs} interleaved pairs, measured from 5 % on; one task, ${KEYS} keys, one changelog and one output`,
      'record per input. CPU time is that of the whole process. After each pair a Java consumer (read_committed, CRC check)',
      'has read both outputs back: equal to the byte in key, value and headers.',
      '',
      '| headers in / out | side | records per CPU second: median | series | records per second: median | series | RSS MiB |',
      '|---|---|---|---|---|---|---|',
      ...rows,
      '',
      `Load of the machine after each pair (2 cores, both sides and the broker included): ${bench.loads.map((load) => load.toFixed(1)).join(' ')}.`,
      '',
      'Where the time goes: [engine-profile.md](engine-profile.md), written by hand.',
    ]
  },
  trickle: async ({ lab, java, sides, envelopes }) => {
    const rows: string[] = []
    for (const side of sides) {
      const { p50Ms, p90Ms, p99Ms } = await measureTrickle(lab, envelopes.at(-1) ?? true, (names) =>
        startSide(side, { lab, java }, names),
      )
      rows.push(`| ${side} | ${p50Ms.toFixed(1)} | ${p90Ms.toFixed(1)} | ${p99Ms.toFixed(1)} |`)
    }
    return [
      '## One hop under a trickle',
      '',
      'A record each 20 to 60 ms, from the call of the producer to the output at a read_committed consumer.',
      '',
      '| side | p50 ms | p90 ms | p99 ms |',
      '|---|---|---|---|',
      ...rows,
    ]
  },
  restore: async ({ lab }) => {
    const million = await measureRestore(lab, 1_000_000, 0)
    const finished = await measureRestore(lab, 1_000, 1_000_000)
    const row = (what: string, { entries, readyMs, firstOutputMs, rssBytes }: typeof million) =>
      `| ${what} | ${(readyMs / 1000).toFixed(2)} | ${Math.round(entries / (readyMs / 1000))} | ${(firstOutputMs / 1000).toFixed(2)} | ${(rssBytes / MB).toFixed(0)} |`
    return [
      '## Restoring a task',
      '',
      'From the start of the process to a task that is ready; then to the first output.',
      '',
      '| changelog | ready after s | entries per second | first output after s | RSS MiB |',
      '|---|---|---|---|---|',
      row('1 M keys with state', million),
      row('1 M finished keys, 1 k open', finished),
    ]
  },
  idle: async ({ lab }) => {
    const { tasks, cpuShare, rssBytes, sockets } = await measureIdle(lab, 12)
    return [
      '## Idle',
      '',
      `${tasks} open tasks without work: ${(cpuShare * 100).toFixed(2)} % of a core, ${(rssBytes / MB).toFixed(0)} MiB RSS, ${sockets} sockets.`,
    ]
  },
  growth: async ({ lab, records }) => {
    const rows: string[] = []
    for (const [partitions, keys] of [
      [1, 1_000],
      [1, 1_000_000],
      [12, 10_000],
    ] as const) {
      const spec = { topic: `served-${newTag()}`, records: Math.round(records / 3), keys, envelope: true, partitions }
      await fillInput(lab, spec)
      const run = await measureThroughput(lab, spec, (names) => startEngine({ ...names, brokers: lab.brokers }))
      rows.push(
        `| ${partitions} | ${keys} | ${Math.round(run.recordsPerCpuSecond)} | ${Math.round(run.recordsPerSecond)} | ${mib(run)} |`,
      )
    }
    return [
      '## Growing',
      '',
      `${Math.round(records / 3)} records with headers, the engine alone.`,
      '',
      '| tasks | keys | records per CPU second | records per second | RSS MiB |',
      '|---|---|---|---|---|',
      ...rows,
    ]
  },
}

const partOf = (name: string) => {
  const part = PARTS[name]
  if (part === undefined) {
    throw new ConfigError('BENCH_UNKNOWN', `--only takes ${Object.keys(PARTS).join(', ')}, got "${name}"`)
  }
  return part
}

const newTag = (): string => randomUUID().slice(0, 8)
const mib = ({ rssBytes }: Throughput): string => (rssBytes / MB).toFixed(0)

const startSide = (
  side: string,
  { lab, java, profileDir }: Pick<Bench, 'lab' | 'java'> & Partial<Pick<Bench, 'profileDir'>>,
  names: FoldNames,
): Side | Promise<Side> =>
  side === 'streams'
    ? startStreams({ ...names, brokers: lab.brokers, java })
    : startEngine({ ...names, brokers: lab.brokers, profileDir })

const throughputRows = async (bench: Bench, envelope: boolean): Promise<readonly string[]> => {
  const { lab, java, records, pairs, sides } = bench
  const spec = { topic: `served-${newTag()}`, records, keys: KEYS, envelope }
  await fillInput(lab, spec)
  const runs: Record<string, Throughput[]> = Object.fromEntries(sides.map((side) => [side, []]))
  for (let pair = 0; pair < pairs; pair++) {
    const name = `fold-${newTag()}`
    for (const side of sides) {
      const run = await measureThroughput(lab, spec, (names) => startSide(side, bench, names), name)
      runs[side]?.push(run)
      const load = loadavg()[0]?.toFixed(1)
      console.log(
        `pair ${pair + 1}, ${side}: ${Math.round(run.recordsPerCpuSecond)} records per CPU second, ${Math.round(run.recordsPerSecond)} per second, load ${load}`,
      )
    }
    bench.loads.push(loadavg()[0] ?? Number.NaN)
    await requireEqualOutputs(
      lab,
      java,
      Object.values(runs).flatMap((of) => of.at(-1) ?? []),
    )
  }
  const headers = envelope ? '6 / 7' : '0 / 0'
  const series = (values: readonly number[]) => values.map((value) => Math.round(value / 1000)).join(' ')
  const rows = Object.entries(runs).map(([side, of]) => {
    const cpu = of.map((run) => run.recordsPerCpuSecond)
    const wall = of.map((run) => run.recordsPerSecond)
    const last = of.at(-1) as Throughput
    return `| ${headers} | ${side} | ${Math.round(median(cpu))} | ${series(cpu)} k | ${Math.round(median(wall))} | ${series(wall)} k | ${mib(last)} |`
  })
  return [...rows, ...ratioRow(headers, runs)]
}

const ratioRow = (headers: string, { engine, streams }: Record<string, Throughput[]>): readonly string[] => {
  if (engine === undefined || streams === undefined) return []
  const ratio = (of: (run: Throughput) => number) => (median(engine.map(of)) / median(streams.map(of))).toFixed(2)
  return [
    `| ${headers} | **engine ÷ streams** | **${ratio((run) => run.recordsPerCpuSecond)}** | | **${ratio((run) => run.recordsPerSecond)}** | | |`,
  ]
}

/** @throws UpstreamError BENCH_FAILED when two sides have written other records, or not all of them */
const requireEqualOutputs = async (lab: Lab, java: Java, runs: readonly Throughput[]): Promise<void> => {
  const topics = runs.map(({ names }) => names.output)
  const lines = (await java.run('TopicDigest', [lab.brokers.join(','), ...topics])).trim().split('\n')
  const digests = new Set(lines.map((line) => line.slice(line.indexOf(' '))))
  console.log(`read back: ${[...digests].join(' | ')}`)
  if (digests.size !== 1) throw new UpstreamError('BENCH_FAILED', `the outputs differ: ${lines.join(', ')}`)
}
