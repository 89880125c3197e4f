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
 * apart, about 10 s in all: a broker restart takes 3–5 s. What kafkajs itself
 * says goes through client-log.ts.
 */
import type { ISocketFactory, Kafka } from 'kafkajs'
import { systemClock } from '../../platform/clock.ts'
import type { Logger } from '../../platform/log.ts'
import { clientLog, clientLogLevel } from './client-log.ts'
import { KafkaClient } from './kafkajs.ts'

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
export const createKafka = ({ brokers, clientId, logger, socketFactory, retries = 14 }: KafkaSettings): Kafka => {
  const write = clientLog(logger, systemClock)
  return new KafkaClient({
    brokers: [...brokers],
    clientId,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: 2000,
    retry: { initialRetryTime: 50, maxRetryTime: 1000, retries },
    logLevel: clientLogLevel(logger),
    logCreator: () => write,
    ...(socketFactory && { socketFactory }),
  })
}
