import { setTimeout as delay } from 'node:timers/promises'
import { type ProcessUsage, usageOfTree } from './process-usage.ts'
import { runningProduct } from './product.ts'
import { keep, median } from './table.ts'

/**
 * P11: what the whole product costs while nobody uses it: every process below the supervisor of `npm start`, in CPU time
 * (not wall, so that neighbours on the same cores do not count) and memory. Several windows; the median is the figure,
 * for a garbage collection or a compaction in one of them is chance.
 *
 * `npm run bench -- idle [windows] [seconds]`, on a product that runs and has been left alone for a minute.
 */
const WINDOWS = 5
const WINDOW_SECONDS = 60
const MB = 1024 * 1024

export const bench = async ([windows = WINDOWS, seconds = WINDOW_SECONDS]: readonly (number | string)[]) => {
  const { supervisorPid } = await runningProduct()
  const shares: Map<string, number>[] = []
  let before = usageOfTree(supervisorPid)
  for (let window = 0; window < Number(windows); window++) {
    const startedMs = performance.now()
    await delay(Number(seconds) * 1000)
    const after = usageOfTree(supervisorPid)
    shares.push(cpuShares(before, after, performance.now() - startedMs))
    before = after
  }
  keep('idle', tableOf(shares, byName(before), Number(seconds)))
}

/** Percent of one core by name; a process that began or ended within the window is not counted. */
const cpuShares = (before: readonly ProcessUsage[], after: readonly ProcessUsage[], elapsedMs: number) => {
  const used = new Map<string, number>()
  for (const { pid, name, cpuMs } of after) {
    const earlier = before.find((process) => process.pid === pid)
    if (earlier === undefined) continue
    used.set(name, (used.get(name) ?? 0) + ((cpuMs - earlier.cpuMs) * 100) / elapsedMs)
  }
  return used
}

interface Held {
  readonly rssBytes: number
  readonly pssBytes: number
  readonly sockets: number
}

const byName = (processes: readonly ProcessUsage[]): ReadonlyMap<string, Held> =>
  new Map([...Map.groupBy(processes, ({ name }) => name)].map(([name, group]) => [name, sumOf(group)]))

const sumOf = (held: readonly Held[]): Held => ({
  rssBytes: held.reduce((sum, { rssBytes }) => sum + rssBytes, 0),
  pssBytes: held.reduce((sum, { pssBytes }) => sum + pssBytes, 0),
  sockets: held.reduce((sum, { sockets }) => sum + sockets, 0),
})

const tableOf = (shares: readonly ReadonlyMap<string, number>[], held: ReadonlyMap<string, Held>, seconds: number) => {
  const row = (name: string, series: readonly number[], { rssBytes, pssBytes, sockets }: Held) =>
    `| ${name} | ${median(series).toFixed(2)} | ${series.map((share) => share.toFixed(2)).join(' ')} | ${(rssBytes / MB).toFixed(0)} | ${(pssBytes / MB).toFixed(0)} | ${sockets} |`
  const rows = [...held].map(([name, holds]) => {
    const series = shares.map((window) => window.get(name) ?? 0)
    return { share: median(series), text: row(name, series, holds) }
  })
  const total = shares.map((window) => [...window.values()].reduce((sum, share) => sum + share, 0))
  return [
    `CPU time in percent of one core over windows of ${seconds} s without any work; memory at the end, MiB.`,
    '',
    '| process | CPU %, median | series | RSS | PSS | sockets |',
    '|---|---|---|---|---|---|',
    ...rows.sort((a, b) => b.share - a.share).map(({ text }) => text),
    row('**whole product**', total, sumOf([...held.values()])),
  ]
}
