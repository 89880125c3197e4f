import { readdirSync, readFileSync } from 'node:fs'
import { BugError } from '../platform/errors.ts'

/**
 * Facts about processes that Node does not tell, from /proc.
 *
 * A pid alone proves nothing: it may belong to somebody else by now. The boot id and the start time of a process
 * together name it for ever.
 */
export const processIdentity = (pid: number): string | undefined => {
  const stat = readStat(pid)
  return stat && stat.state !== 'Z' ? `${bootId()}:${stat.startTime}` : undefined
}

export const isOfThisBoot = (identity: string): boolean => identity.startsWith(`${bootId()}:`)

/** The living processes of a session. The kernel gives no new process the number of a session that has members. */
export const sessionMembers = (session: number): number[] =>
  readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid > 1)
    .filter((pid) => {
      const stat = readStat(pid)
      return stat !== undefined && stat.session === session && stat.state !== 'Z'
    })

/** Signals a process group; a group that has no process any more is fine. */
export const signalGroup = (pid: number, signal: NodeJS.Signals): void => {
  if (pid <= 1) throw new BugError('BAD_PID', `expected the pid of a child, got ${pid}`)
  try {
    process.kill(-pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()

/** Fields 3, 6 and 22 of proc_pid_stat(5). The program's name, field 2, may itself hold spaces and parentheses. */
const readStat = (pid: number): { state: string; session: number; startTime: string } | undefined => {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return { state: fields[0] ?? '', session: Number(fields[3]), startTime: fields[19] ?? '' }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ESRCH') return undefined
    throw error
  }
}
