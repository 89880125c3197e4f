/**
 * One batch = one transaction: position, rows and notification become visible together or not at all.
 *
 * The position goes first and moves by compare-and-set. That takes the lock of its row, so two writers of one partition
 * come one after the other, and the second finds the position moved: its transaction rolls back before it has written a
 * row. No lease, no clock, no group membership is trusted; whoever believes to be in charge may try.
 */
import type { Database, Prisma } from '../../prisma/client.ts'
import { concernedBy, foldBatch, type RowSet } from './fold.ts'
import { columnList, quoted, snakeCase, tableOf } from './names.ts'
import { PositionMovedError } from './position-moved.ts'
import type { AnyEvent, AnyRow, Projection, Table } from './projection.ts'
import { fromJson, toJson } from './row-json.ts'

/** Where a version stands in a partition. */
export interface FeedKey {
  readonly projection: Projection
  readonly version: number
  readonly partition: number
}

export interface Batch {
  /** The position that the batch was read from; what the table must say for it to be written. */
  readonly from: bigint
  /** The position after it. */
  readonly to: bigint
  readonly events: readonly AnyEvent[]
}

/** Channel of NOTIFY: a `PositionNotice` as JSON, once per batch of a live version, and a `flush` at a swap. */
export const POSITION_CHANNEL = 'reelstream_positions'

/** Well below the 8,000 bytes that NOTIFY takes, whatever the batch holds. */
export type PositionNotice =
  | { readonly projection: string; readonly partition: number; readonly from: number; readonly to: number }
  | { readonly flush: string }

const TRANSACTION = { timeout: 30_000, maxWait: 5_000 }

/**
 * Folds the batch into the tables of the version. `notify` says whether anybody reads them.
 * Throws PositionMovedError when another writer was faster (nothing is written), and what the database throws.
 */
export const commitBatch = (db: Database, key: FeedKey, batch: Batch, notify: boolean): Promise<void> =>
  db.$transaction(async (tx) => {
    await movePosition(tx, key, batch)
    const loaded = await loadRows(tx, key, concernedBy(key.projection, batch.events))
    await writeRows(tx, key, foldBatch(key.projection, loaded, batch.events))
    if (notify && batch.events.length > 0) await sendNotice(tx, key, batch)
  }, TRANSACTION)

type Transaction = Prisma.TransactionClient

const movePosition = async (tx: Transaction, { projection, version, partition }: FeedKey, { from, to }: Batch) => {
  const moved = await tx.$executeRaw`
    UPDATE engine.positions SET next_offset = ${to}
    WHERE projection = ${projection.name} AND version = ${version}
      AND topic = ${projection.reads.name} AND "partition" = ${partition} AND next_offset = ${from}`
  if (moved !== 1) throw new PositionMovedError(projection.name, partition, from)
}

const loadRows = async (tx: Transaction, key: FeedKey, wanted: RowSet): Promise<RowSet> => {
  const loaded = new Map<string, Map<string, AnyRow>>()
  for (const [name, keys] of wanted) {
    const table = key.projection.tables[name] as Table<AnyRow>
    const target = tableOf(key.projection, key.version, name)
    const columns = table.key.map((column) => quoted(snakeCase(column))).join(', ')
    const records = await tx.$queryRawUnsafe<{ record: AnyRow }[]>(
      `SELECT to_jsonb(t) AS record FROM ${target} t WHERE (${columns}) IN
         (SELECT ${columns} FROM jsonb_populate_recordset(null::${target}, $1::jsonb))`,
      toJson(table, keys.values()),
    )
    const rows = records.map(({ record }) => fromJson(table, record))
    loaded.set(name, new Map(rows.map((row) => [JSON.stringify(table.key.map((column) => row[column])), row])))
  }
  return loaded
}

const writeRows = async (tx: Transaction, key: FeedKey, changed: RowSet) => {
  for (const [name, rows] of changed) {
    const table = key.projection.tables[name] as Table<AnyRow>
    const target = tableOf(key.projection, key.version, name)
    await tx.$executeRawUnsafe(upsert(table, target), toJson(table, rows.values()))
  }
}

/** A later version of a row never gives way to an earlier one, even if a fold should ever try. */
const upsert = (table: Table<AnyRow>, target: string): string => {
  const columns = columnList(table.columns)
  const keys = table.key.map((column) => quoted(snakeCase(column))).join(', ')
  const insert = `INSERT INTO ${target} AS t (${columns})
    SELECT ${columns} FROM jsonb_populate_recordset(null::${target}, $1::jsonb) ON CONFLICT (${keys})`
  if (table.appendOnly) return `${insert} DO NOTHING`
  const others = Object.keys(table.columns).filter((column) => !table.key.includes(column))
  const sets = others.map((column) => `${quoted(snakeCase(column))} = excluded.${quoted(snakeCase(column))}`)
  return `${insert} DO UPDATE SET ${sets.join(', ')} WHERE t.version < excluded.version`
}

const sendNotice = async (tx: Transaction, { projection, partition }: FeedKey, { from, to }: Batch) => {
  const notice: PositionNotice = { projection: projection.name, partition, from: Number(from), to: Number(to) }
  await tx.$executeRaw`SELECT pg_notify(${POSITION_CHANNEL}, ${JSON.stringify(notice)})`
}
