/**
 * One number for the content of a table, equal for equal rows whatever order they were written in: the sums of both
 * halves of the MD5 of each row as jsonb, which sorts its fields and has one form for each value. It streams, so it
 * needs no sort and no memory. Not against forgery; against folds that disagree.
 */
import type { ClientBase } from 'pg'
import { quoted, schemaOf, snakeCase, tableOf } from './names.ts'
import type { Projection } from './projection.ts'

/** A version as one connection sees it: the live side is read in the snapshot that its positions were read in. */
export interface Side {
  readonly pg: ClientBase
  readonly version: number
}

export interface TableHash {
  readonly rows: number
  readonly hash: string
}

export interface TableComparison {
  readonly table: string
  readonly live: TableHash
  readonly rebuilt: TableHash
  readonly equal: boolean
}

/** Compares the columns that both versions have: a column that was added or removed is a difference that is meant. */
export const compareTable = async (
  projection: Projection,
  table: string,
  live: Side,
  rebuilt: Side,
): Promise<TableComparison> => {
  const columns = await sharedColumns(projection, table, live, rebuilt)
  const [left, right] = [
    await hashTable(projection, table, live, columns),
    await hashTable(projection, table, rebuilt, columns),
  ]
  return { table, live: left, rebuilt: right, equal: left.hash === right.hash && left.rows === right.rows }
}

/** Hash of one table of one version, over all its columns. */
export const hashOf = async (projection: Projection, table: string, side: Side): Promise<TableHash> =>
  hashTable(projection, table, side, await sharedColumns(projection, table, side, side))

const hashTable = async (projection: Projection, table: string, side: Side, columns: string): Promise<TableHash> => {
  const { rows } = await side.pg.query<{ count: string; high: string; low: string }>(
    `SELECT count(*) AS count, coalesce(sum(${half(1)}), 0) AS high, coalesce(sum(${half(17)}), 0) AS low
       FROM (SELECT md5(to_jsonb(r)::text) AS digest
               FROM (SELECT ${columns} FROM ${tableOf(projection, side.version, table)}) r) d`,
  )
  const sums = rows[0] ?? { count: '0', high: '0', low: '0' }
  return { rows: Number(sums.count), hash: `${hexOf(sums.high)}${hexOf(sums.low)}` }
}

const half = (from: number): string => `('x' || substr(digest, ${from}, 16))::bit(64)::bigint::numeric`

const hexOf = (sum: string): string => BigInt.asUintN(64, BigInt(sum)).toString(16).padStart(16, '0')

export const sharedColumns = async (
  projection: Projection,
  table: string,
  left: Side,
  right: Side,
): Promise<string> => {
  const { rows } = await right.pg.query<{ name: string }>(
    `SELECT l.column_name AS name FROM information_schema.columns l
       JOIN information_schema.columns r USING (table_name, column_name)
      WHERE l.table_schema = $1 AND r.table_schema = $2 AND table_name = $3 ORDER BY column_name`,
    [schemaOf(projection, left.version), schemaOf(projection, right.version), snakeCase(table)],
  )
  return rows.map(({ name }) => quoted(name)).join(', ')
}
