import { BugError } from '../../platform/errors.ts'
import type { AnyEvent, AnyRow, Projection, Table } from './projection.ts'

/** Rows of each table by their key. */
export type RowSet = ReadonlyMap<string, ReadonlyMap<string, AnyRow>>

/** The key of a row as text: equal for equal keys, whatever the order of its fields. */
export const keyOf = (table: Table<AnyRow>, row: AnyRow): string =>
  JSON.stringify(table.key.map((column) => row[column] ?? null))

/** The rows that must be loaded before `events` can be folded, each once. */
export const concernedBy = (projection: Projection, events: readonly AnyEvent[]): RowSet => {
  const keys = new Map<string, Map<string, AnyRow>>()
  for (const event of events) {
    for (const [name, key] of Object.entries(projection.concerns(event))) {
      if (key !== undefined) put(keys, name, keyOf(tableNamed(projection, name), key), key)
    }
  }
  return keys
}

/**
 * Folds a batch over the loaded rows and returns the rows that changed, each once and as it is after the last event:
 * one statement may not write a row twice (SQLSTATE 21000), and need not.
 */
export const foldBatch = (projection: Projection, loaded: RowSet, events: readonly AnyEvent[]): RowSet => {
  const changed = new Map<string, Map<string, AnyRow>>()
  const find = (name: string, key: string) => changed.get(name)?.get(key) ?? loaded.get(name)?.get(key)

  for (const event of events) {
    const before: Record<string, AnyRow> = {}
    for (const [name, key] of Object.entries(projection.concerns(event))) {
      const row = key && find(name, keyOf(tableNamed(projection, name), key))
      if (row !== undefined) before[name] = row
    }
    for (const [name, row] of Object.entries(projection.evolve(before, event))) {
      if (row !== undefined && row !== before[name]) put(changed, name, keyOf(tableNamed(projection, name), row), row)
    }
  }
  return changed
}

const tableNamed = (projection: Projection, name: string): Table<AnyRow> => {
  const table = projection.tables[name]
  if (table === undefined) {
    throw new BugError('UNKNOWN_TABLE', `${projection.name} declares no table "${name}"`, { facts: { table: name } })
  }
  return table
}

const put = (set: Map<string, Map<string, AnyRow>>, name: string, key: string, row: AnyRow) => {
  let rows = set.get(name)
  if (rows === undefined) {
    rows = new Map()
    set.set(name, rows)
  }
  rows.set(key, row)
}
