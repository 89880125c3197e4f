import { BugError } from '../../platform/errors.ts'
import type { Codec } from '../codec/avro.ts'
import type { StateShape } from '../processor.ts'
import {
  type ClosedKey,
  ClosedKeySchema,
  type PendingEffect,
  PendingEffectSchema,
  type Position,
  PositionSchema,
  type Timer,
  TimerSchema,
} from '../state/generated.ts'
import type { StateChange } from './state-store.ts'

/**
 * How a task's memory is written down in `<processor>-state`: one compacted record per entry. The record key says what
 * kind of entry it is; U+001F separates its parts, which therefore may not hold it.
 */
export type Entry =
  | { readonly kind: 'position'; readonly value: Position | null }
  | { readonly kind: 'state'; readonly change: StateChange }
  | { readonly kind: 'timer'; readonly key: string; readonly timer: string; readonly value: Timer | null }
  | { readonly kind: 'effect'; readonly key: string; readonly effectId: string; readonly value: PendingEffect | null }
  | { readonly kind: 'closed'; readonly key: string; readonly value: ClosedKey | null }

export interface ChangelogRecord {
  readonly key: string
  /** null = the entry is gone (a tombstone). */
  readonly value: Buffer | null
}

const SEPARATOR = '\u001f'
const POSITION_KEY = 'p'

const join = (...parts: readonly string[]): string => {
  const bad = parts.find((part) => part.includes(SEPARATOR))
  if (bad !== undefined)
    throw new BugError('KEY_INVALID', 'a key or id holds U+001F, which separates them', { facts: { bad } })
  return parts.join(SEPARATOR)
}

/** Entry → record. Throws BugError ENCODE_INVALID when a value does not fit its schema. */
export const toRecord = (entry: Entry, codec: Codec, shape: StateShape): ChangelogRecord => {
  switch (entry.kind) {
    case 'position':
      return { key: POSITION_KEY, value: entry.value && codec.encode(PositionSchema, entry.value) }
    case 'timer':
      return { key: join('t', entry.key, entry.timer), value: entry.value && codec.encode(TimerSchema, entry.value) }
    case 'effect':
      return {
        key: join('e', entry.key, entry.effectId),
        value: entry.value && codec.encode(PendingEffectSchema, entry.value),
      }
    case 'closed':
      return { key: join('c', entry.key), value: entry.value && codec.encode(ClosedKeySchema, entry.value) }
    case 'state': {
      const { key, collection, id, value } = entry.change
      const schema = shape[collection]
      if (schema === undefined) throw new BugError('COLLECTION_UNKNOWN', `no collection ${collection} is declared`)
      return {
        key: join('s', key, collection, id),
        value: value === undefined ? null : codec.encode(schema, value as never),
      }
    }
  }
}

/** Record → entry. Throws when the record was not written by `toRecord` for this shape. */
export const fromRecord = (record: ChangelogRecord, codec: Codec, shape: StateShape): Entry => {
  const [kind, key = '', second = '', third = ''] = record.key.split(SEPARATOR)
  const { value } = record
  switch (kind) {
    case POSITION_KEY:
      return { kind: 'position', value: value && codec.decode(PositionSchema, value) }
    case 't':
      return { kind: 'timer', key, timer: second, value: value && codec.decode(TimerSchema, value) }
    case 'e':
      return { kind: 'effect', key, effectId: second, value: value && codec.decode(PendingEffectSchema, value) }
    case 'c':
      return { kind: 'closed', key, value: value && codec.decode(ClosedKeySchema, value) }
    case 's': {
      const schema = shape[second]
      if (schema === undefined) throw new BugError('COLLECTION_UNKNOWN', `the changelog holds a collection ${second}`)
      const decoded = value === null ? undefined : codec.decode(schema, value)
      return { kind: 'state', change: { key, collection: second, id: third, value: decoded } }
    }
    default:
      throw new BugError('CHANGELOG_UNREADABLE', 'a changelog record has a key of no known kind', {
        facts: { key: record.key },
      })
  }
}
