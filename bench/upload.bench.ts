import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { open, writeFile } from 'node:fs/promises'
import { cpus, loadavg } from 'node:os'
import path from 'node:path'
import { parseArgs, promisify } from 'node:util'
import type { RunFile } from '../local/run-file.ts'
import { ConfigError } from '../platform/errors.ts'
import { type ProcessUsage, usageOfTree } from './process-usage.ts'
import { runningProduct } from './product.ts'
import { keep, median } from './table.ts'
import { withTemporaryFolder } from './temporary-folder.ts'
import type { Timed } from './upload/apart.ts'
import type { Order, Sender, Sent } from './upload/sender.ts'

/**
 * What an upload costs that cannot be lost or damaged: our SDK, which hashes every part and has each signed, against
 * `Upload` of @aws-sdk/lib-storage, which does neither; then its memory by the size of the file; then many uploads at once.
 *
 * `npm run bench -- upload [--size MB] [--rounds N] [--memory MB,MB] [--concurrent N] [--concurrent-size MB] [--waves N]`,
 * on a product that runs. All send the same file in parts of the same size to the same S3 server, by turns, so that what else the
 * machine does hits all of them. 0 leaves a part out. A ratio of clients that share two cores with their server is a ratio of
 * everything; on a busy machine nothing is kept.
 */
const MB = 1_000_000
const MiB = 1024 * 1024
const PARALLEL = 6
const PARALLEL_OF_MANY = 2
const SAMPLE_MS = 500
/** Above this load of the machine figures are those of its other work. */
const BUSY = 3

export const bench = async (args: readonly string[]): Promise<void> => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      size: { type: 'string', default: '1074' },
      rounds: { type: 'string', default: '5' },
      memory: { type: 'string', default: '100,1000,10000' },
      concurrent: { type: 'string', default: '200' },
      'concurrent-size': { type: 'string', default: '20' },
      waves: { type: 'string', default: '3' },
    },
  })
  const run = await runningProduct()
  const [loadBefore = 0] = loadavg()
  await withTemporaryFolder(async (folder) => {
    const lines = [
      ...(await throughput(run, folder, numberOf(values.size), numberOf(values.rounds))),
      ...(await memory(run, folder, values.memory.split(',').map(numberOf))),
      ...(await many(
        run,
        folder,
        numberOf(values.concurrent),
        numberOf(values['concurrent-size']),
        numberOf(values.waves),
      )),
    ]
    const [loadAfter = 0] = loadavg()
    lines.push(`Load of the machine: ${loadBefore.toFixed(1)} before, ${loadAfter.toFixed(1)} at the end.`)
    // What this run does itself counts in the second.
    if (loadBefore < BUSY) keep('upload', [...lines, '', NOTES])
    else console.log(lines.join('\n'))
  })
}

/** What the figures mean is written by hand, and outlives the next run. */
const NOTES = 'Where the seconds go, and what other runs said: [upload-notes.md](upload-notes.md).'

const numberOf = (text: string): number => {
  const value = Number(text)
  if (Number.isFinite(value) && value >= 0) return value
  throw new ConfigError('BENCH_ARGUMENT', `expected a number, got "${text}"`)
}

const SENDERS: readonly Sender[] = ['sdk', 'lib-storage', 'lib-storage-unsigned']

/** One upload, and what else ran for it. */
interface Measured extends Sent {
  /** CPU time of the S3 server meanwhile. */
  readonly s3CpuMs: number
  /** CPU time of Kafka, Postgres and our processes meanwhile. */
  readonly productCpuMs: number
}

const throughput = async (run: RunFile, folder: string, sizeMb: number, rounds: number): Promise<readonly string[]> => {
  if (sizeMb === 0) return []
  const file = path.join(folder, 'throughput.bin')
  await writeRandom(file, sizeMb * MB)
  const order = { run, file, uploads: 1, parallel: PARALLEL, partSizeBytes: await partSizeOf(run, sizeMb * MB) }
  const results: Readonly<Record<Sender, Measured>>[] = []
  for (let round = 0; round < rounds; round++) {
    const measured: Partial<Record<Sender, Measured>> = {}
    for (const by of inTurn(round)) measured[by] = await sendMeasured({ ...order, by })
    results.push(measured as Record<Sender, Measured>)
  }
  return [
    `${sizeMb} MB, parts of ${order.partSizeBytes / MiB} MiB, ${PARALLEL} at a time; each until the object is complete.`,
    'lib-storage computes no checksums. Over plain HTTP it signs each part with its SHA-256, which the server checks; the',
    'last column is without that, too, as it would be over HTTPS, but here without TLS.',
    '',
    ...ratesOf(sizeMb, results),
    '',
    ...secondsOf(results),
    '',
  ]
}

/** Who is not the first of a round finds a warmer machine: each is first in its turn. */
const inTurn = (round: number): readonly Sender[] =>
  SENDERS.map((_, i) => SENDERS[(round + i) % SENDERS.length] as Sender)

const sendMeasured = async (order: Order): Promise<Measured> => {
  // What the one before has left to write is not for this one to wait for.
  await promisify(execFile)('sync')
  const before = cpuOf(order.run)
  const sent = await send(order)
  const after = cpuOf(order.run)
  return { ...sent, s3CpuMs: after.s3 - before.s3, productCpuMs: after.product - before.product }
}

const cpuOf = ({ supervisorPid }: RunFile): { readonly s3: number; readonly product: number } => {
  const all = usageOfTree(supervisorPid)
  const sum = (of: readonly ProcessUsage[]) => of.reduce((total, { cpuMs }) => total + cpuMs, 0)
  return { s3: sum(all.filter(({ name }) => name === 's3')), product: sum(all.filter(({ name }) => name !== 's3')) }
}

const ratesOf = (sizeMb: number, results: readonly Readonly<Record<Sender, Measured>>[]): readonly string[] => {
  const rate = ({ durationMs }: Sent) => ((sizeMb * 1000) / durationMs).toFixed(1)
  const ratios = (to: Sender) => results.map((round) => round[to].durationMs / round.sdk.durationMs)
  const [signed, unsigned] = [ratios('lib-storage'), ratios('lib-storage-unsigned')]
  return [
    '| round | SDK with integrity MB/s | lib-storage MB/s | ratio | lib-storage, bytes unsigned MB/s | ratio |',
    '|---|---|---|---|---|---|',
    ...results.map((round, i) => {
      const cells = [rate(round.sdk), rate(round['lib-storage']), signed[i]?.toFixed(2)]
      return `| ${[i + 1, ...cells, rate(round['lib-storage-unsigned']), unsigned[i]?.toFixed(2)].join(' | ')} |`
    }),
    `| median | | | **${median(signed).toFixed(2)}** | | ${median(unsigned).toFixed(2)} |`,
  ]
}

const secondsOf = (results: readonly Readonly<Record<Sender, Measured>>[]): readonly string[] => {
  const medianSeconds = (by: Sender, of: (measured: Measured) => number) =>
    (median(results.map((round) => of(round[by]))) / 1000).toFixed(2)
  return [
    '| medians, seconds | sending parts | completing | CPU of the client | CPU of the S3 server | CPU of all else |',
    '|---|---|---|---|---|---|',
    ...SENDERS.map((by) => {
      const cells = [
        medianSeconds(by, ({ durationMs, completingMs }) => durationMs - completingMs),
        medianSeconds(by, ({ completingMs }) => completingMs),
        medianSeconds(by, ({ cpuMs }) => cpuMs),
        medianSeconds(by, ({ s3CpuMs }) => s3CpuMs),
        medianSeconds(by, ({ productCpuMs }) => productCpuMs),
      ]
      return `| ${[by, ...cells].join(' | ')} |`
    }),
  ]
}

/** Sparse: a file of any size costs nothing but the zeros that are sent. */
const memory = async (run: RunFile, folder: string, sizesMb: readonly number[]): Promise<readonly string[]> => {
  const rows: string[] = []
  for (const sizeMb of sizesMb.filter((size) => size > 0)) {
    const file = path.join(folder, 'sparse.bin')
    const handle = await open(file, 'w')
    await handle.truncate(sizeMb * MB)
    await handle.close()
    const partSizeBytes = await partSizeOf(run, sizeMb * MB)
    const gateway = watchGateway(run)
    const { maxRssBytes, maxHeapBytes, maxArrayBufferBytes, durationMs, completingMs } = await send({
      run,
      by: 'sdk',
      file,
      uploads: 1,
      parallel: PARALLEL,
      partSizeBytes,
    })
    const cells = [
      ...[sizeMb, partSizeBytes / MiB, ...[maxRssBytes, maxArrayBufferBytes, maxHeapBytes].map(mebibytes)],
      ...[gateway.end(), seconds(durationMs), seconds(completingMs)],
    ]
    rows.push(`| ${cells.join(' | ')} |`)
  }
  if (rows.length === 0) return []
  return [
    '| sparse file MB | part MiB | client, largest RSS MiB | its ArrayBuffers MiB | its heap MiB | gateway, RSS MiB before → largest → after | s | of those, completing |',
    '|---|---|---|---|---|---|---|---|',
    ...rows,
    '',
  ]
}

/** Wave after wave: memory that only the first one needs is not lost, memory that each one adds is. */
const many = async (
  run: RunFile,
  folder: string,
  uploads: number,
  sizeMb: number,
  waves: number,
): Promise<readonly string[]> => {
  if (uploads === 0 || waves === 0) return []
  const file = path.join(folder, 'many.bin')
  await writeRandom(file, sizeMb * MB)
  const partSizeBytes = await partSizeOf(run, sizeMb * MB)
  const order = { run, by: 'sdk', file, uploads, parallel: PARALLEL_OF_MANY, partSizeBytes } as const
  const before = cpuByName(run)
  const idleBeforeMs = idleOfMachineMs()
  const sent: Sent[] = []
  const rows: string[] = []
  for (let wave = 1; wave <= waves; wave++) {
    const gateway = watchGateway(run)
    const one = await send(order)
    sent.push(one)
    const { calls, durationMs } = one
    const failed = calls.filter(({ status }) => status !== null && status >= 500).length
    const unanswered = calls.filter(({ status }) => status === null).length
    rows.push(`| ${[wave, seconds(durationMs), calls.length, failed, unanswered, gateway.end()].join(' | ')} |`)
  }
  const after = cpuByName(run)
  const sum = (of: (one: Sent) => number) => sent.reduce((total, one) => total + of(one), 0)
  return [
    `${uploads} uploads of ${sizeMb} MB at once, ${waves} times; all were completed.`,
    '',
    '| wave | s | calls of the gateway | answered 5xx | not answered | gateway, RSS MiB before → largest → after |',
    '|---|---|---|---|---|---|',
    ...rows,
    '',
    ...latenciesOf(sent.flatMap(({ calls }) => calls)),
    '',
    'The calls are timed on a thread that does nothing else. The last column is what the thread saw that plays all of the',
    `clients: it copies and hashes ${uploads * PARALLEL_OF_MANY} parts at once, and looks at answers when it has time.`,
    '',
    ...sharesOf(
      sum(({ durationMs }) => durationMs),
      idleOfMachineMs() - idleBeforeMs,
      [
        ['the clients', sum(({ cpuMs }) => cpuMs)],
        ...[...after].map(([name, ms]) => [name, ms - (before.get(name) ?? 0)] as const),
      ],
    ),
    '',
  ]
}

/** Those without an answer count, and their time does, too: somebody waited for it. */
const latenciesOf = (calls: readonly Timed[]): readonly string[] => {
  const row = (kind: string, of: readonly Timed[]): string => {
    const [asked, seen] = [of.map(({ durationMs }) => durationMs), of.map(({ seenMs }) => seenMs)]
    return `| ${[kind, of.length, quantile(asked, 0.5), quantile(asked, 0.99), quantile(asked, 1), quantile(seen, 0.99)].join(' | ')} |`
  }
  return [
    '| call | how many | p50 ms | p99 ms | largest ms | p99 as the clients saw it, ms |',
    '|---|---|---|---|---|---|',
    ...[...Map.groupBy(calls, kindOf)].map(([kind, of]) => row(kind, of)),
    row('all', calls),
  ]
}

const kindOf = ({ method, path }: Timed): string => {
  if (path.endsWith('/sign')) return 'sign parts'
  if (path.endsWith('/parts')) return method === 'GET' ? 'how far it is' : 'report parts'
  return method === 'POST' ? 'begin' : method
}

const quantile = (values: readonly number[], share: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return Math.round(sorted[Math.ceil(sorted.length * share) - 1] ?? Number.NaN)
}

/** CPU time of the product's processes until now, ms; those of PostgreSQL together. */
const cpuByName = ({ supervisorPid }: RunFile): ReadonlyMap<string, number> => {
  const sums = new Map<string, number>()
  for (const { name, cpuMs } of usageOfTree(supervisorPid)) {
    const server = name.split(':')[0] ?? name
    sums.set(server, (sums.get(server) ?? 0) + cpuMs)
  }
  return sums
}

/** Of all cores. */
const idleOfMachineMs = (): number => cpus().reduce((sum, { times }) => sum + times.idle, 0)

/** Who had the processors meanwhile. */
const sharesOf = (
  durationMs: number,
  idleMs: number,
  cpu: readonly (readonly [name: string, cpuMs: number])[],
): readonly string[] => {
  const largest = cpu.filter(([, ms]) => ms >= 500).toSorted(([, a], [, b]) => b - a)
  const share = Math.round((100 * idleMs) / (durationMs * cpus().length))
  return [
    `The machine was idle for ${share} % of the time. CPU seconds, of ${seconds(durationMs * cpus().length)} on ${cpus().length} cores:`,
    `${largest.map(([name, ms]) => `${name} ${seconds(ms)}`).join(', ')}.`,
  ]
}

const watchGateway = ({ pids }: RunFile) => {
  const rss = () => usageOfTree(pids.front ?? 0).reduce((sum, { rssBytes }) => sum + rssBytes, 0)
  const before = rss()
  let largest = before
  const timer = setInterval(() => {
    largest = Math.max(largest, rss())
  }, SAMPLE_MS)
  timer.unref() // an upload that fails ends the run
  return {
    end: () => {
      clearInterval(timer)
      const after = rss()
      return [before, Math.max(largest, after), after].map(mebibytes).join(' → ')
    },
  }
}

const seconds = (ms: number): string => (ms / 1000).toFixed(1)

const mebibytes = (bytes: number): string => (bytes / MiB).toFixed(0)

const send = async (order: Order): Promise<Sent> => {
  const sender = path.join(import.meta.dirname, 'upload', 'sender.ts')
  const sending = promisify(execFile)(process.execPath, [sender], { maxBuffer: 64 * MiB })
  // Not among the arguments: there are keys in it, and everybody may read those.
  sending.child.stdin?.write(`${JSON.stringify(order)}\n`)
  return JSON.parse((await sending).stdout) as Sent
}

/** The plan of the gateway, by beginning an upload and giving it up. */
const partSizeOf = async ({ gatewayUrl, token }: RunFile, sizeBytes: number): Promise<number> => {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const body = JSON.stringify({ title: 'Bench', fileName: 'bench', sizeBytes })
  const answer = await fetch(`${gatewayUrl}/uploads`, { method: 'POST', headers, body })
  const { uploadId, partSizeBytes } = (await answer.json()) as { uploadId: string; partSizeBytes: number }
  await fetch(`${gatewayUrl}/uploads/${uploadId}`, {
    method: 'DELETE',
    headers: { authorization: headers.authorization },
  })
  return partSizeBytes
}

const BLOCK_BYTES = 64 * MiB

/** One random block again and again: nothing on the way can make it smaller, and it is quickly made. */
const writeRandom = async (file: string, sizeBytes: number): Promise<void> => {
  const block = randomBytes(Math.min(BLOCK_BYTES, sizeBytes))
  if (block.length === sizeBytes) return writeFile(file, block)
  const stream = createWriteStream(file)
  const ended = new Promise<void>((resolve, reject) => {
    stream.once('close', resolve)
    stream.once('error', reject)
  })
  for (let left = sizeBytes; left > 0; left -= block.length) {
    const piece = left < block.length ? block.subarray(0, left) : block
    if (!stream.write(piece)) await new Promise<void>((resolve) => stream.once('drain', resolve))
  }
  stream.end()
  await ended
}
