import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '../../platform/log.ts'
import type { Patience } from './decide.ts'
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
 * that gateways which were started together, or restart each other, do not all list the bucket at once. A run that fails
 * (S3, Kafka or PostgreSQL is away) is said and made up for by the next.
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
      schedule.log.info({ ...(await reconcile(world, options)) }, 'S3 compared with the log')
    } catch (error) {
      schedule.log.warn({ err: error }, 'S3 could not be compared with the log')
    }
  }
}

/** What is left as it is would be said at every run. */
const tell = (log: ReconcileSchedule['log'], { finding, outcome, error }: Found): void => {
  const { kind, why } = finding
  const subject = finding.kind === 'report-part' ? finding.upload.objectKey : 'key' in finding ? finding.key : undefined
  if (outcome === 'done') log.info({ kind, why, subject }, 'reconciled')
  if (outcome === 'failed') log.warn({ kind, why, subject, error }, 'not reconciled')
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
