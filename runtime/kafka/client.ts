/**
 * Kafka as the engine needs it, on kafkajs 2.2.4 with the patches of ./patches.
 *
 * kafkajs is fenced into this folder; the rest of the product sees these ports:
 *
 *   transactional-writer   one transaction per call, one owner per transactional id, dead after any error
 *   partition-reader       group-less: offsets, read to the end, tail; committed records only
 *   group-member           which tasks are mine, and their records as they come
 *   idempotent-producer    for those outside the engine: gateway, command line, tools
 *   topics                 what must exist, and whether what exists is what was meant
 *
 * Settings, with their reasons. `requestTimeout` 4.5 s: a broker that is alive answers in milliseconds, and a dead one
 * must be noticed before the session (10 s) or the transaction (15 s) times out. First retry after 50 ms, at most 1 s
 * apart, about 10 s in all: a broker restart takes 3–5 s. Errors of kafkajs itself are logged as warnings: whatever it
 * does not recover from is thrown to us and reported once, by whoever handles it.
 */
import type { ISocketFactory, Kafka, LogEntry } from 'kafkajs'
import type { Logger } from '../../platform/log.ts'
import { KafkaClient, logLevel } from './kafkajs.ts'

export type { Kafka } from 'kafkajs'

export interface KafkaSettings {
  /** host:port, at least one. */
  readonly brokers: readonly string[]
  /** Who we are in the broker's logs and quotas. */
  readonly clientId: string
  readonly logger: Logger
  /** How often connecting, or a request, is repeated, the waits growing to 1 s; 14 = about 10 s in all. */
  readonly retries?: number
  /** How connections are made; for TLS beyond the defaults, and for tests that put something in between. */
  readonly socketFactory?: ISocketFactory
}

/** How long a request may take before its connection counts as dead, ms. */
export const REQUEST_TIMEOUT_MS = 4500

/** A client. Connects to nothing by itself: each port opens, and closes, its own connections. */
export const createKafka = ({ brokers, clientId, logger, socketFactory, retries = 14 }: KafkaSettings): Kafka =>
  new KafkaClient({
    brokers: [...brokers],
    clientId,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: 2000,
    retry: { initialRetryTime: 50, maxRetryTime: 1000, retries },
    logLevel: levelFor(logger),
    logCreator: () => (entry) => write(logger, entry),
    ...(socketFactory && { socketFactory }),
  })

const levelFor = (logger: Logger): LogEntry['level'] => {
  if (logger.isLevelEnabled('trace')) return logLevel.DEBUG
  if (logger.isLevelEnabled('debug')) return logLevel.INFO
  return logger.isLevelEnabled('warn') ? logLevel.WARN : logLevel.NOTHING
}

/**
 * Said at each creation of an idempotent producer with bounded retries. Bounded is what we want: the producer is thrown
 * away when they are used up, so no later send can meet the doubtful sequence numbers.
 */
const EXPECTED = 'Limiting retries for the idempotent producer may invalidate EoS guarantees'

const write = (logger: Logger, { namespace, level, log }: LogEntry): void => {
  const { message, timestamp: _timestamp, logger: _name, ...facts } = log
  const entry = { component: namespace, detail: message, ...facts }
  if (level === logLevel.DEBUG) logger.trace(entry, 'kafka client')
  else if (level === logLevel.INFO || message === EXPECTED) logger.debug(entry, 'kafka client')
  else logger.warn(entry, 'kafka client')
}
