import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { isOfThisBoot, processIdentity, sessionMembers, signalGroup } from './processes.ts'

/**
 * What a supervisor that was killed with kill -9 leaves behind, and how the next one clears it away.
 *
 * Every child is on record with its pid and its identity (boot id and start time). Because each child leads a session
 * (child.ts), a member of that session is ours even when the child itself has died: a killed worker's ffmpeg.
 */
export interface ProcessRecord {
  readonly name: string
  readonly pid: number
  /** see processIdentity */
  readonly identity: string
  readonly stopSignal: NodeJS.Signals
}

const GRACE_MS = 8_000

/** Replaces the record of running children. Synchronous: a child must be on record before anything else happens. */
export const writeProcessRecords = (dataDir: string, records: readonly ProcessRecord[]): void => {
  const file = recordFile(dataDir)
  writeFileSync(`${file}.tmp`, `${JSON.stringify(records, null, 2)}\n`, { mode: 0o600 })
  renameSync(`${file}.tmp`, file)
}

/**
 * Stops every process that an earlier supervisor of this data folder started and could not stop: first politely, so
 * that Kafka and Postgres close their files, after 8 s by force.
 * @returns the names of what had to be stopped
 */
export const stopLeftovers = async (dataDir: string): Promise<string[]> => {
  const left = readProcessRecords(dataDir).filter(isAlive)
  for (const { pid, stopSignal } of left) signalGroup(pid, stopSignal)
  const end = Date.now() + GRACE_MS
  while (left.some(isAlive)) {
    if (Date.now() > end) for (const { pid } of left.filter(isAlive)) signalGroup(pid, 'SIGKILL')
    await delay(50)
  }
  writeProcessRecords(dataDir, [])
  return left.map(({ name }) => name)
}

/** Whether the recorded process, or a process of its session, still runs. */
export const isAlive = ({ pid, identity }: ProcessRecord): boolean => {
  if (!isOfThisBoot(identity)) return false
  const leader = processIdentity(pid)
  if (leader !== undefined) return leader === identity
  return sessionMembers(pid).length > 0
}

export const readProcessRecords = (dataDir: string): readonly ProcessRecord[] => {
  try {
    return JSON.parse(readFileSync(recordFile(dataDir), 'utf8')) as ProcessRecord[]
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

const recordFile = (dataDir: string) => path.join(dataDir, 'processes.json')
