/**
 * The SQL part of the migrate step: creates the database if it is missing, and applies prisma/migrations in order.
 *
 * Prisma's own `migrate deploy` needs an engine that is downloaded when it runs. This does the same from the same files
 * and keeps the same book, the table _prisma_migrations: a database may be migrated by either, in any order. Each
 * migration runs in one transaction with its entry, so none is ever half applied. A migration that was applied and
 * then edited is refused: what the file says is no longer what the database is.
 */
import { createHash, randomUUID } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import pg from 'pg'
import { ConfigError } from '../../platform/errors.ts'
import type { Logger } from '../../platform/log.ts'
import { installProjection } from '../../projections/engine/versions.ts'
import { projections } from '../../projections/index.ts'

const MIGRATIONS = path.resolve(import.meta.dirname, '../../prisma/migrations')

/**
 * Brings the database at `url` up to date and makes the first version of each projection's tables, so that the stable
 * views are there when the API starts. Idempotent; processes that run it at once wait for each other.
 * Throws ConfigError MIGRATION_CHANGED, MIGRATION_FAILED, and what the database throws.
 */
export const migrateSql = async (url: string, log: Logger): Promise<void> => {
  await createDatabaseIfMissing(url, log)
  const client = new pg.Client({ connectionString: url })
  client.on('error', (err) => log.warn({ err }, 'database connection lost'))
  await client.connect()
  try {
    await client.query("SELECT pg_advisory_lock(hashtext('reelstream.migrate'))")
    await client.query(BOOK)
    for (const migration of await readMigrations()) await apply(client, migration, log)
    for (const projection of projections) await installProjection(client, projection)
  } finally {
    await client.end()
  }
}

interface Migration {
  readonly name: string
  readonly sql: string
  readonly checksum: string
}

/** As Prisma makes it. */
const BOOK = `
  CREATE TABLE IF NOT EXISTS public._prisma_migrations (
    id varchar(36) PRIMARY KEY NOT NULL,
    checksum varchar(64) NOT NULL,
    finished_at timestamptz,
    migration_name varchar(255) NOT NULL,
    logs text,
    rolled_back_at timestamptz,
    started_at timestamptz NOT NULL DEFAULT now(),
    applied_steps_count integer NOT NULL DEFAULT 0
  )`

const readMigrations = async (): Promise<Migration[]> => {
  const entries = await readdir(MIGRATIONS, { withFileTypes: true })
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
  return Promise.all(
    names.toSorted().map(async (name) => {
      const sql = await readFile(path.join(MIGRATIONS, name, 'migration.sql'), 'utf8')
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') }
    }),
  )
}

const apply = async (client: pg.Client, { name, sql, checksum }: Migration, log: Logger): Promise<void> => {
  const { rows } = await client.query<{ checksum: string; finished_at: Date | null }>(
    'SELECT checksum, finished_at FROM public._prisma_migrations WHERE migration_name = $1 AND rolled_back_at IS NULL',
    [name],
  )
  const applied = rows.find((row) => row.finished_at !== null)
  if (applied !== undefined) {
    if (applied.checksum === checksum) return
    throw new ConfigError('MIGRATION_CHANGED', `Migration ${name} was edited after this database had applied it`)
  }
  if (rows.length > 0) {
    throw new ConfigError('MIGRATION_FAILED', `Migration ${name} failed half way under Prisma; resolve it there first`)
  }
  await client.query('BEGIN')
  try {
    await client.query(sql)
    await client.query(
      `INSERT INTO public._prisma_migrations (id, checksum, migration_name, finished_at, applied_steps_count)
       VALUES ($1, $2, $3, now(), 1)`,
      [randomUUID(), checksum, name],
    )
    await client.query('COMMIT')
  } catch (error) {
    await client.query('ROLLBACK')
    throw new ConfigError('MIGRATION_FAILED', `Migration ${name}: ${(error as Error).message}`, { cause: error })
  }
  log.info({ migration: name }, 'migration applied')
}

const UNDEFINED_DATABASE = '3D000'
const DUPLICATE_DATABASE = '42P04'

const createDatabaseIfMissing = async (url: string, log: Logger): Promise<void> => {
  const probe = new pg.Client({ connectionString: url })
  try {
    await probe.connect()
    await probe.end()
  } catch (error) {
    if ((error as { code?: string }).code !== UNDEFINED_DATABASE) throw error
    await createDatabase(url)
    log.info('database created')
  }
}

const createDatabase = async (url: string): Promise<void> => {
  const maintenance = new URL(url)
  const name = decodeURIComponent(maintenance.pathname.slice(1))
  maintenance.pathname = '/postgres'
  const client = new pg.Client({ connectionString: maintenance.href })
  await client.connect()
  try {
    await client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`)
  } catch (error) {
    // Somebody else was faster.
    if ((error as { code?: string }).code !== DUPLICATE_DATABASE) throw error
  } finally {
    await client.end()
  }
}
