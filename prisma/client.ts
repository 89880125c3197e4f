import { PrismaPg } from '@prisma/adapter-pg'
import type { Logger } from '../platform/log.ts'
import { PrismaClient } from './generated/client.ts'

export { Prisma } from './generated/client.ts'
export type Database = PrismaClient

export interface DatabaseOptions {
  readonly url: string
  /** Connections that the pool opens at most. */
  readonly maxConnections: number
  readonly log: Logger
}

/**
 * A Prisma client over a pool of its own. Connects with the first query; `$disconnect()` ends the pool.
 *
 * Statements are not named, hence not prepared: a swap of the views that they read would make prepared ones fail with
 * SQLSTATE 0A000, "cached plan must not change result type".
 */
export const createDatabase = ({ url, maxConnections, log }: DatabaseOptions): Database => {
  const report = (error: Error) => log.warn({ err: error }, 'database connection lost')
  const adapter = new PrismaPg(
    { connectionString: url, max: maxConnections, connectionTimeoutMillis: 5_000 },
    { onPoolError: report, onConnectionError: report },
  )
  return new PrismaClient({ adapter })
}
