import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { UpstreamError } from '../platform/errors.ts'

/** What one process has used and holds, from /proc (proc(5)). */
export interface ProcessUsage {
  readonly pid: number
  /** The program as a person would name it. */
  readonly name: string
  /** User and system time since its start, and that of the children it has waited for, milliseconds. */
  readonly cpuMs: number
  /** Resident memory, bytes; pages that it shares with others count in each of them. */
  readonly rssBytes: number
  /** Resident memory with shared pages divided by the number of their users, bytes. */
  readonly pssBytes: number
  readonly sockets: number
}

/** Clock ticks per second of /proc/<pid>/stat: 100 on every Linux that Node runs on (sysconf(_SC_CLK_TCK)). */
const TICKS_PER_SECOND = 100
const KiB = 1024

/** The process and everything that descends from it. One that ends meanwhile is left out. */
export const usageOfTree = (rootPid: number): readonly ProcessUsage[] =>
  treeOf(rootPid).flatMap((pid) => usageOf(pid) ?? [])

/** Of one process alone. @throws UpstreamError BENCH_FAILED when it has ended */
export const usageOfProcess = (pid: number): ProcessUsage => {
  const found = usageOf(pid)
  if (found !== undefined) return found
  throw new UpstreamError('BENCH_FAILED', `process ${pid} has ended`)
}

const treeOf = (rootPid: number): readonly number[] => {
  const childrenOf = Map.groupBy(
    readdirSync('/proc').map(Number).filter(Number.isInteger),
    (pid) => statOf(pid)?.parentPid ?? 0,
  )
  const collect = (pid: number): number[] => [pid, ...(childrenOf.get(pid) ?? []).flatMap(collect)]
  return collect(rootPid)
}

const usageOf = (pid: number): ProcessUsage | undefined => {
  const stat = statOf(pid)
  const memory = readOf(pid, 'smaps_rollup')
  const command = readOf(pid, 'cmdline')
  if (stat === undefined || memory === undefined || command === undefined) return undefined
  const bytesOf = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(memory)?.[1] ?? 0) * KiB
  return {
    pid,
    name: nameOf(command.split('\0')),
    cpuMs: (stat.ticks * 1000) / TICKS_PER_SECOND,
    rssBytes: bytesOf('Rss'),
    pssBytes: bytesOf('Pss'),
    sockets: socketsOf(pid),
  }
}

/** `node … local/front.ts` is front, `java … kafka.Kafka` is kafka, `postgres: walwriter` is itself. */
const nameOf = (command: readonly string[]): string => {
  const line = command.join(' ')
  const script = command.find((word) => word.endsWith('.ts'))
  if (script !== undefined) return script.split('/').slice(-2).join('/')
  if (line.includes('kafka.Kafka')) return 'kafka'
  if (line.includes('apicurio')) return 'registry'
  if (line.includes('s3proxy')) return 's3'
  if (line.startsWith('postgres:')) return line.trim().split(' ').slice(0, 3).join(' ')
  return (command[0] ?? '').split('/').at(-1) ?? ''
}

/** Fields 4 and 14 to 17 of proc_pid_stat(5). The program's name, field 2, may itself hold spaces and parentheses. */
const statOf = (pid: number): { parentPid: number; ticks: number } | undefined => {
  const text = readOf(pid, 'stat')
  if (text === undefined) return undefined
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0)
  return { parentPid: Number(fields[1]), ticks }
}

const socketsOf = (pid: number): number =>
  (gone(() => readdirSync(`/proc/${pid}/fd`)) ?? []).filter((fd) =>
    gone(() => readlinkSync(`/proc/${pid}/fd/${fd}`))?.startsWith('socket:'),
  ).length

const readOf = (pid: number, file: string): string | undefined =>
  gone(() => readFileSync(`/proc/${pid}/${file}`, 'utf8'))

/** A process, or one of its files, that has ended between two looks. */
const gone = <T>(look: () => T): T | undefined => {
  try {
    return look()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ESRCH') return undefined
    throw error
  }
}
