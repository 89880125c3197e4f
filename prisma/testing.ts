/** For integration tests: a database of their own on the server of DATABASE_URL, migrated, dropped at the end. */
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { readConfig, requireSettings } from '../platform/config.ts'
import { silentLogger } from '../platform/log.ts'
import { createDatabase, type Database } from './client.ts'

export interface TestDatabase {
  readonly url: string
  readonly db: Database
  readonly pg: pg.Client
  /** A further connection; ended with the database. */
  connect(): Promise<pg.Client>
  close(): Promise<void>
}

export const createTestDatabase = async (migrate: (url: string) => Promise<void>): Promise<TestDatabase> => {
  const config = readConfig()
  requireSettings(config, ['databaseUrl'])
  const url = new URL(config.databaseUrl)
  url.pathname = `/test_${randomUUID().replaceAll('-', '')}`
  await migrate(url.href)
  const clients: pg.Client[] = []
  const connect = async () => {
    const client = new pg.Client({ connectionString: url.href })
    // Tests cut connections on purpose.
    client.on('error', () => undefined)
    await client.connect()
    clients.push(client)
    return client
  }
  const db = createDatabase({ url: url.href, maxConnections: 4, log: silentLogger })
  return {
    url: url.href,
    db,
    pg: await connect(),
    connect,
    async close() {
      await db.$disconnect()
      await Promise.all(clients.map((client) => client.end().catch(() => undefined)))
      await dropDatabase(config.databaseUrl, url.pathname.slice(1))
    },
  }
}

const dropDatabase = async (serverUrl: string, name: string) => {
  const maintenance = new URL(serverUrl)
  maintenance.pathname = '/postgres'
  const client = new pg.Client({ connectionString: maintenance.href })
  await client.connect()
  await client.query(`DROP DATABASE IF EXISTS ${client.escapeIdentifier(name)} WITH (FORCE)`)
  await client.end()
}
