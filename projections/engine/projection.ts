/**
 * A projection is a declaration: which facts it reads, which tables it keeps, and one pure fold from the rows as they
 * are and a fact to the rows as they are then.
 *
 *     export const videoCatalogue = defineProjection({
 *       name: 'video-catalogue',
 *       reads: videoEvents,
 *       tables: { videos: { key: ['id'], columns: { id: 'text', … } } },
 *       concerns: (event) => ({ videos: { id: event.key } }),
 *       evolve: (rows, event) => ({ videos: evolveVideo(rows.videos, event) }),
 *       sql: new URL('./', import.meta.url),
 *     })
 *
 * The engine does the rest: it folds in batches, moves its position in the transaction that writes the rows (so a fact
 * is folded exactly once), wakes whoever waits, rebuilds a second version beside the live one, proves it equal and swaps.
 *
 * Two rules make "rebuilt from the log" and "folded live" the same thing. Rows are a function of the records of ONE
 * partition: `concerns` may name only rows that no other partition writes (the key of the record is part of their key).
 * And two projections never write one table.
 *
 * Rows are plain JSON with camelCase names. A column is the same name in snake_case; times are ISO strings with
 * milliseconds, big numbers are numbers below 2^53, and null is the only absence.
 */
import type { EventOf, Topic } from '../../schemas/topics.ts'

export type ColumnType = 'text' | 'text[]' | 'integer' | 'bigint' | 'double' | 'boolean' | 'timestamptz' | 'jsonb'

export interface Table<Row> {
  /** Columns that identify a row. */
  readonly key: readonly (keyof Row & string)[]
  readonly columns: { readonly [Column in keyof Row & string]-?: ColumnType }
  /** A row is written once and never changed; every other table has a `version`, the offset that changed the row. */
  readonly appendOnly?: true
  /** Not shown in the schema `read`: the projection's own memory. */
  readonly internal?: true
}

/** A fact with what the log and its envelope say about it. */
export type Recorded<Event> = Event & {
  /** Key of the record. */
  readonly key: string
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** Time of the broker (LogAppendTime), ISO. */
  readonly recordedAt: string
  /** ce_id. */
  readonly eventId: string
  /** causationid: the ce_id of what it follows from. */
  readonly causeId: string | null
}

/** At most one row of each table: as read, or as changed. */
export type RowsOf<Rows> = { readonly [T in keyof Rows]?: Rows[T] | undefined }
export type KeysOf<Rows> = { readonly [T in keyof Rows]?: Partial<Rows[T]> | undefined }

export interface ProjectionDefinition<Rows extends object, Source extends Topic> {
  /** Folder name; its tables live in the schema `<name in snake_case>_v<version>`. */
  readonly name: string
  readonly reads: Source
  readonly tables: { readonly [T in keyof Rows & string]: Table<Rows[T]> }
  /** The rows that the fold needs to see for a fact, by their keys. At most one per table. */
  concerns(event: Recorded<EventOf<Source>>): KeysOf<Rows>
  /** Pure. The changed rows; a row that comes back as the same object, or not at all, is not written. */
  evolve(rows: RowsOf<Rows>, event: Recorded<EventOf<Source>>): RowsOf<Rows>
  /** Folder with tables.sql (tables and primary keys, without schema names) and indexes.sql (made after a bulk load). */
  readonly sql: URL
}

/** Rows and events as the engine handles them: it knows the declaration, not the types. */
export type AnyRow = Readonly<Record<string, unknown>>
export type AnyEvent = Recorded<{ readonly type: string; readonly data: unknown }>

export interface Projection {
  readonly name: string
  readonly reads: Topic
  readonly tables: Readonly<Record<string, Table<AnyRow>>>
  concerns(event: AnyEvent): Readonly<Record<string, AnyRow | undefined>>
  evolve(
    rows: Readonly<Record<string, AnyRow | undefined>>,
    event: AnyEvent,
  ): Readonly<Record<string, AnyRow | undefined>>
  readonly sql: URL
}

/** Types check the declaration; the engine gets it without them. */
export const defineProjection = <Rows extends object, Source extends Topic>(
  definition: ProjectionDefinition<Rows, Source>,
): ProjectionDefinition<Rows, Source> & Projection => definition as ProjectionDefinition<Rows, Source> & Projection
