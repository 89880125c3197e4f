/**
 * Which rows of two versions of a table differ. The versions are seen through two connections (one holds the snapshot
 * of the live side), so no query can join them: both are read in the order of their keys and merged here.
 */
import type { ClientBase } from 'pg'
import { quoted, snakeCase, tableOf } from './names.ts'
import type { Projection } from './projection.ts'
import { type Side, sharedColumns } from './table-hash.ts'

export interface Difference {
  readonly table: string
  /** Values of the key columns, as JSON. */
  readonly key: string
  /** The row as JSON; null where that side has none. */
  readonly live: string | null
  readonly rebuilt: string | null
}

interface KeyedRow {
  readonly key: string
  readonly record: string
}

const PAGE_ROWS = 2000

/** The first `limit` differences, in the order of the keys. Both connections must be inside a transaction. */
export const firstDifferences = async (
  projection: Projection,
  table: string,
  live: Side,
  rebuilt: Side,
  limit: number,
): Promise<Difference[]> => {
  const columns = await sharedColumns(projection, table, live, rebuilt)
  const lefts = orderedRows(projection, table, live, columns)
  const rights = orderedRows(projection, table, rebuilt, columns)
  const differences: Difference[] = []
  let [left, right] = [await next(lefts), await next(rights)]
  while ((left !== undefined || right !== undefined) && differences.length < limit) {
    const order = compareKeys(left, right)
    const [l, r] = [order <= 0 ? left : undefined, order >= 0 ? right : undefined]
    if (l?.record !== r?.record) {
      differences.push({ table, key: (l ?? r)?.key ?? '', live: l?.record ?? null, rebuilt: r?.record ?? null })
    }
    if (l !== undefined) left = await next(lefts)
    if (r !== undefined) right = await next(rights)
  }
  await Promise.all([lefts.return(undefined), rights.return(undefined)])
  return differences
}

async function* orderedRows(
  projection: Projection,
  table: string,
  { pg, version }: Side,
  columns: string,
): AsyncGenerator<KeyedRow> {
  const keys = projection.tables[table]?.key.map((column) => quoted(snakeCase(column))) ?? []
  const cursor = quoted(`differences_v${version}`)
  await pg.query(
    `DECLARE ${cursor} CURSOR FOR
     SELECT jsonb_build_array(${keys.join(', ')})::text COLLATE "C" AS key, to_jsonb(r)::text AS record
       FROM (SELECT ${columns} FROM ${tableOf(projection, version, table)}) r ORDER BY 1`,
  )
  try {
    for (let page = await fetchPage(pg, cursor); page.length > 0; page = await fetchPage(pg, cursor)) yield* page
  } finally {
    await pg.query(`CLOSE ${cursor}`)
  }
}

const fetchPage = async (pg: ClientBase, cursor: string): Promise<KeyedRow[]> =>
  (await pg.query<KeyedRow>(`FETCH ${PAGE_ROWS} FROM ${cursor}`)).rows

const next = async (rows: AsyncGenerator<KeyedRow>): Promise<KeyedRow | undefined> => {
  const { done, value } = await rows.next()
  return done ? undefined : value
}

/** As the collation "C" orders them: by the bytes of UTF-8. A side that is at its end comes last. */
const compareKeys = (left: KeyedRow | undefined, right: KeyedRow | undefined): number => {
  if (left === undefined) return 1
  if (right === undefined) return -1
  return Buffer.compare(Buffer.from(left.key), Buffer.from(right.key))
}
