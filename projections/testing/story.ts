/** For tests: facts as the log would hand them over, and the tables that a projection makes of them, in memory. */
import { EXAMPLE_VIDEO_ID, examples } from '../../schemas/examples.ts'
import { type VideoEvent, type VideoEventType, videoEvents } from '../../schemas/topics.ts'
import { foldBatch, type RowSet } from '../engine/fold.ts'
import type { AnyEvent, AnyRow, Projection, Recorded } from '../engine/projection.ts'

export type Fact = { readonly [T in VideoEventType]: Extract<VideoEvent, { type: T }> }

/** A fact of the example video, with some of its fields changed. */
export const fact = <T extends VideoEventType>(type: T, data: Partial<Fact[T]['data']> = {}): Fact[T] =>
  ({ type, data: { ...examples[type], ...data } }) as unknown as Fact[T]

const FIRST_MOMENT_MS = Date.UTC(2026, 0, 1)

/** The facts at ascending offsets, one second apart. Each has an id and a cause of its own. */
export const recorded = (
  facts: readonly VideoEvent[],
  firstOffset = 0,
  key = EXAMPLE_VIDEO_ID,
): Recorded<VideoEvent>[] =>
  facts.map((each, index) => ({
    ...each,
    key,
    topic: videoEvents.name,
    partition: 0,
    offset: firstOffset + index,
    recordedAt: new Date(FIRST_MOMENT_MS + (firstOffset + index) * 1000).toISOString(),
    eventId: `event-${firstOffset + index}`,
    causeId: `claim-${firstOffset + index}`,
  }))

/** All rows after the events, folded one at a time or in batches of the given size. */
export const tablesAfter = (projection: Projection, events: readonly AnyEvent[], batchSize = 1): RowSet => {
  const tables = new Map<string, Map<string, AnyRow>>()
  for (let at = 0; at < events.length; at += batchSize) {
    for (const [name, rows] of foldBatch(projection, tables, events.slice(at, at + batchSize))) {
      tables.set(name, new Map([...(tables.get(name) ?? []), ...rows]))
    }
  }
  return tables
}

/** The rows of one table, in the order of their keys. */
export const rowsOf = <Row = AnyRow>(tables: RowSet, table: string): Row[] =>
  [...(tables.get(table) ?? [])].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row as Row)
