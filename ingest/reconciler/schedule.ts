import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '../../platform/log.ts'
import { type Patience, spanOf } from './decide.ts'
import { type Found, type ReconcileWorld, reconcile } from './reconcile.ts'

export interface ReconcileSchedule extends Patience {
  /** From the end of a run to the beginning of the next, ms; 0 = never. */
  readonly everyMs: number
  readonly log: Pick<Logger, 'info' | 'warn'>
}

export interface RunningReconciler {
  /** Ends the run that is under way; it says nothing about what it did not look at. */
  stop(): Promise<void>
}

/**
 * Compares S3 with the log for as long as the process lives. The first run comes after a random part of the interval, so
 * that gateways which were started together, or restart each other, do not all list the bucket at once. What cannot be
 * looked at (S3, Kafka or PostgreSQL is away) is said and made up for by the next run.
 */
export const startReconciler = (world: ReconcileWorld, schedule: ReconcileSchedule): RunningReconciler => {
  const stopping = new AbortController()
  const running = schedule.everyMs === 0 ? Promise.resolve() : runFor(world, schedule, stopping.signal)
  return {
    async stop() {
      stopping.abort()
      await running
    },
  }
}

const runFor = async (world: ReconcileWorld, schedule: ReconcileSchedule, signal: AbortSignal): Promise<void> => {
  for (let pauseMs = schedule.everyMs * Math.random(); await passed(pauseMs, signal); pauseMs = schedule.everyMs) {
    try {
      const options = { ...schedule, dryRun: false, signal, onFound: (found: Found) => tell(schedule.log, found) }
      const report = await reconcile(world, options)
      if (report.complete || signal.aborted) schedule.log.info({ ...report }, 'S3 compared with the log')
      else schedule.log.warn({ ...report }, 'S3 compared with the log in part')
    } catch (error) {
      schedule.log.warn({ err: error }, 'S3 could not be compared with the log')
    }
  }
}

/** What is left as it is would be said at every run. */
const tell = (log: ReconcileSchedule['log'], { finding, outcome, error }: Found): void => {
  const { kind, why } = finding
  const subject = subjectOf(finding)
  if (outcome === 'done') log.info({ kind, why, subject }, 'reconciled')
  if (outcome === 'failed') log.warn({ kind, why, subject, error }, 'not reconciled')
}

const subjectOf = (finding: Found['finding']): string => {
  switch (finding.kind) {
    case 'abort-multipart':
      return finding.key
    case 'report-part':
      return finding.upload.objectKey
    case 'delete-objects':
      return finding.prefix
    case 'delete-playlists':
      return spanOf(finding.keys)
    case 'left':
    case 'unseen':
      return finding.what
  }
}

/** False when the process ends first. */
const passed = async (ms: number, signal: AbortSignal): Promise<boolean> => {
  try {
    await sleep(ms, undefined, { signal })
    return true
  } catch {
    return false // Only the signal ends a sleep.
  }
}
