import { snakeCase } from './names.ts'
import type { AnyRow, Table } from './projection.ts'

/**
 * Rows on their way to and from PostgreSQL, as JSON: one parameter for a whole batch, whatever the column types.
 *
 * Two things that JavaScript strings can hold and PostgreSQL cannot, U+0000 and lone surrogates, become U+FFFD: text is
 * written by strangers, and one odd title must not stop a partition.
 */
export const toJson = (table: Table<AnyRow>, rows: Iterable<AnyRow>): string => {
  const columns = Object.keys(table.columns).map((column) => [column, snakeCase(column)] as const)
  const records = Array.from(rows, (row) => Object.fromEntries(columns.map(([from, to]) => [to, row[from] ?? null])))
  return storableJson(records)
}

/** From `to_jsonb(row)`: camelCase names, times in the one form that the fold uses. */
export const fromJson = (table: Table<AnyRow>, record: AnyRow): AnyRow => {
  const row: Record<string, unknown> = {}
  for (const [column, type] of Object.entries(table.columns)) {
    const value = record[snakeCase(column)] ?? null
    row[column] = type === 'timestamptz' && typeof value === 'string' ? new Date(value).toISOString() : value
  }
  return row
}

/** JSON that PostgreSQL accepts as jsonb. */
export const storableJson = (value: unknown): string => {
  const text = JSON.stringify(value)
  return UNSTORABLE.test(text) ? JSON.stringify(storable(value)) : text
}

/** JSON.stringify escapes exactly these; a false alarm (an escaped backslash before them) only costs the second pass. */
const UNSTORABLE = /\\u(0000|d[89a-f][0-9a-f]{2})/

const storable = (value: unknown): unknown => {
  if (typeof value === 'string') return value.toWellFormed().replaceAll('\u0000', '\uFFFD')
  if (Array.isArray(value)) return value.map(storable)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [storable(name), storable(inner)]))
}
