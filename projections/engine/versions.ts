/**
 * Versions of a projection: each has a schema of its own, `<projection>_v<N>`, and the stable views in `read` show the
 * live one.
 *
 *   building ──swap──► live ──swap──► previous ──the next swap──► dropped
 *                        ◄──rollback──┘
 *
 * The previous version is fed on, so a rollback is immediate and not a step into the past. A swap replaces views, which
 * needs a short exclusive lock on each. It waits for that lock at most LOCK_TIMEOUT_MS and then tries again: whoever
 * waits for a lock makes everybody behind it wait too.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ClientBase } from 'pg'
import { BadInputError, UpstreamError } from '../../platform/errors.ts'
import { POSITION_CHANNEL, type PositionNotice } from './commit-batch.ts'
import { columnList, quoted, schemaOf, snakeCase, tableOf } from './names.ts'
import type { Projection } from './projection.ts'
import { VERSIONS_CHANNEL } from './version-listener.ts'

export type VersionState = 'building' | 'live' | 'previous'

export interface Version {
  readonly projection: string
  readonly version: number
  readonly state: VersionState
  /** Hash of the tables.sql that it was made from. */
  readonly definition: string
}

const LOCK_TIMEOUT_MS = 100
const LOCK_ATTEMPTS = 100

export const listVersions = async (pg: ClientBase): Promise<readonly Version[]> => {
  const { rows } = await pg.query<Version>('SELECT projection, version, state, definition FROM engine.versions')
  return rows
}

export const definitionOf = async (projection: Projection): Promise<string> =>
  createHash('sha256')
    .update(await sqlOf(projection, 'tables.sql'))
    .digest('hex')

/** Makes version 1 and its views where there is none yet. Idempotent; many processes may call it at once. */
export const installProjection = async (pg: ClientBase, projection: Projection): Promise<void> => {
  await inTransaction(pg, async () => {
    await lockProjection(pg, projection)
    const versions = (await listVersions(pg)).filter((version) => version.projection === projection.name)
    if (versions.some(({ state }) => state === 'live')) return
    const version = Math.max(0, ...versions.map((each) => each.version)) + 1
    await createTables(pg, projection, version, 'live')
    await runInSchema(pg, projection, version, 'indexes.sql')
    await replaceViews(pg, projection, version)
  })
}

/** Makes the tables of the next version, empty and without indexes. What an interrupted rebuild left is dropped. */
export const createNextVersion = (pg: ClientBase, projection: Projection): Promise<number> =>
  inTransaction(pg, async () => {
    await lockProjection(pg, projection)
    await dropVersions(pg, projection, 'building')
    const { rows } = await pg.query<{ next: number }>(
      'SELECT coalesce(max(version), 0) + 1 AS next FROM engine.versions WHERE projection = $1',
      [projection.name],
    )
    const version = rows[0]?.next ?? 1
    await createTables(pg, projection, version, 'building')
    return version
  })

export const createIndexes = (pg: ClientBase, projection: Projection, version: number): Promise<void> =>
  inTransaction(pg, () => runInSchema(pg, projection, version, 'indexes.sql'))

/** Makes the version that is being built the live one. The version that was previous until now is dropped. */
export const swapToBuilding = async (pg: ClientBase, projection: Projection): Promise<void> => {
  await withShortLocks(
    pg,
    async () => {
      const building = await findVersion(pg, projection, 'building')
      await replaceViews(pg, projection, building)
      await dropVersions(pg, projection, 'previous')
      await setState(pg, projection, 'live', 'previous')
      await setState(pg, projection, 'building', 'live')
    },
    projection,
  )
}

/** Makes the previous version the live one again, and the live one the previous. */
export const rollBack = async (pg: ClientBase, projection: Projection): Promise<number> => {
  let version = 0
  await withShortLocks(
    pg,
    async () => {
      version = await findVersion(pg, projection, 'previous')
      await dropVersions(pg, projection, 'building')
      await replaceViews(pg, projection, version)
      await setState(pg, projection, 'live', 'building')
      await setState(pg, projection, 'previous', 'live')
      await setState(pg, projection, 'building', 'previous')
    },
    projection,
  )
  return version
}

export const dropBuilding = (pg: ClientBase, projection: Projection): Promise<void> =>
  inTransaction(pg, () => dropVersions(pg, projection, 'building'))

/** @throws BadInputError NO_SUCH_VERSION */
export const findVersion = async (pg: ClientBase, projection: Projection, state: VersionState): Promise<number> => {
  const { rows } = await pg.query<{ version: number }>(
    'SELECT version FROM engine.versions WHERE projection = $1 AND state = $2',
    [projection.name, state],
  )
  if (rows[0] !== undefined) return rows[0].version
  throw new BadInputError('NO_SUCH_VERSION', `${projection.name} has no ${state} version`, {
    facts: { projection: projection.name, state },
  })
}

const createTables = async (pg: ClientBase, projection: Projection, version: number, state: VersionState) => {
  await pg.query(`CREATE SCHEMA ${quoted(schemaOf(projection, version))}`)
  await runInSchema(pg, projection, version, 'tables.sql')
  await pg.query('INSERT INTO engine.versions (projection, version, state, definition) VALUES ($1, $2, $3, $4)', [
    projection.name,
    version,
    state,
    await definitionOf(projection),
  ])
}

/** Explicit columns: a view made from `*` would silently keep the columns of the day it was made. */
const replaceViews = async (pg: ClientBase, projection: Projection, version: number) => {
  for (const [name, table] of Object.entries(projection.tables)) {
    if (table.internal) continue
    const view = `read.${quoted(snakeCase(name))}`
    await pg.query(`DROP VIEW IF EXISTS ${view}`)
    await pg.query(
      `CREATE VIEW ${view} AS SELECT ${columnList(table.columns)} FROM ${tableOf(projection, version, name)}`,
    )
  }
}

const dropVersions = async (pg: ClientBase, projection: Projection, state: VersionState) => {
  const { rows } = await pg.query<{ version: number }>(
    'DELETE FROM engine.versions WHERE projection = $1 AND state = $2 RETURNING version',
    [projection.name, state],
  )
  for (const { version } of rows) await pg.query(`DROP SCHEMA ${quoted(schemaOf(projection, version))} CASCADE`)
}

const setState = (pg: ClientBase, projection: Projection, from: VersionState, to: VersionState) =>
  pg.query('UPDATE engine.versions SET state = $3 WHERE projection = $1 AND state = $2', [projection.name, from, to])

const runInSchema = async (pg: ClientBase, projection: Projection, version: number, file: string): Promise<void> => {
  await pg.query(`SET LOCAL search_path TO ${quoted(schemaOf(projection, version))}`)
  await pg.query(await sqlOf(projection, file))
  await pg.query('SET LOCAL search_path TO DEFAULT')
}

const sqlOf = (projection: Projection, file: string): Promise<string> => readFile(new URL(file, projection.sql), 'utf8')

/** One change of versions at a time, per projection. */
const lockProjection = (pg: ClientBase, projection: Projection) =>
  pg.query("SELECT pg_advisory_xact_lock(hashtext('reelstream.versions'), hashtext($1))", [projection.name])

const withShortLocks = async (pg: ClientBase, change: () => Promise<void>, projection: Projection): Promise<void> => {
  const flush: PositionNotice = { flush: projection.name }
  for (let attempt = 1; ; attempt++) {
    try {
      return await inTransaction(pg, async () => {
        await lockProjection(pg, projection)
        await pg.query(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`)
        await change()
        await pg.query('SELECT pg_notify($1, $2)', [POSITION_CHANNEL, JSON.stringify(flush)])
        await pg.query('SELECT pg_notify($1, $2)', [VERSIONS_CHANNEL, projection.name])
      })
    } catch (error) {
      if ((error as { code?: unknown }).code !== LOCK_NOT_AVAILABLE) throw error
      if (attempt === LOCK_ATTEMPTS) throw neverFree(projection, error)
      await sleep(LOCK_TIMEOUT_MS * Math.random())
    }
  }
}

const LOCK_NOT_AVAILABLE = '55P03'

const neverFree = (projection: Projection, cause: unknown): UpstreamError =>
  new UpstreamError('SWAP_BLOCKED', `A long query holds the views of ${projection.name}; nothing was changed`, {
    cause,
    facts: { projection: projection.name, attempts: LOCK_ATTEMPTS },
  })

const inTransaction = async <T>(pg: ClientBase, work: () => Promise<T>): Promise<T> => {
  await pg.query('BEGIN')
  try {
    const result = await work()
    await pg.query('COMMIT')
    return result
  } catch (error) {
    // A connection that is gone rolled back by itself, and the error that counts is the first one.
    await pg.query('ROLLBACK').catch(() => undefined)
    throw error
  }
}
