/**
 * What kafkajs says, as lines of ours.
 *
 * Its errors are warnings here: whatever it does not recover from is thrown to us and reported by whoever handles it. What
 * is a normal part of working is for debugging only. And a broker that is away is said once, then every half minute with
 * how often: kafkajs reports each attempt of each connection, and a process has some dozens of them.
 */
import type { LogEntry } from 'kafkajs'
import type { Clock } from '../../platform/clock.ts'
import type { Logger } from '../../platform/log.ts'
import { logLevel } from './kafkajs.ts'

const SAY_AGAIN_AFTER_MS = 30_000

const NORMAL: readonly RegExp[] = [
  // Said at each creation of an idempotent producer with bounded retries. Bounded is what we want: the producer is thrown
  // away when they are used up, so no later send can meet the doubtful sequence numbers.
  /^Limiting retries for the idempotent producer may invalidate EoS guarantees/,
  // A transaction right after another: patch transaction-backoff waits for the markers of the first.
  /another concurrent operation on the same transaction was ongoing/,
  // The answer to a request that was given up.
  /^Response without match/,
  // Tasks are being shared out anew.
  /The group is rebalancing/,
]

/** The level at which kafkajs is to speak so that everything that we would write arrives. */
export const clientLogLevel = (logger: Logger): LogEntry['level'] => {
  if (logger.isLevelEnabled('trace')) return logLevel.DEBUG
  if (logger.isLevelEnabled('debug')) return logLevel.INFO
  return logger.isLevelEnabled('warn') ? logLevel.WARN : logLevel.NOTHING
}

/** Writes the entries of one client. */
export const clientLog = (logger: Logger, clock: Clock): ((entry: LogEntry) => void) => {
  const said = new Map<string, { atMs: number; repeated: number }>()

  const warn = (entry: Readonly<Record<string, unknown>>): void => {
    const { component, detail, broker, error } = entry
    const key = [component, detail, broker, error].join('\n')
    const last = said.get(key)
    if (last !== undefined && clock.now() - last.atMs < SAY_AGAIN_AFTER_MS) {
      last.repeated += 1
      return
    }
    said.set(key, { atMs: clock.now(), repeated: 0 })
    logger.warn({ ...entry, ...(last !== undefined && { repeated: last.repeated }) }, 'kafka client')
  }

  return ({ namespace, level, log }) => {
    const { message, timestamp: _timestamp, logger: _name, ...facts } = log
    const entry = { component: namespace, detail: message, ...facts }
    if (level === logLevel.DEBUG) logger.trace(entry, 'kafka client')
    else if (level === logLevel.INFO || isNormal(message, facts.error)) logger.debug(entry, 'kafka client')
    else warn(entry)
  }
}

const isNormal = (message: string, error: unknown): boolean =>
  NORMAL.some((normal) => normal.test(message) || (typeof error === 'string' && normal.test(error)))
