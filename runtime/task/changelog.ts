import { BugError } from '../../platform/errors.ts'
import type { AvroSchema, Codec } from '../codec/avro.ts'
import type { StateShape } from '../processor.ts'
import * as g from '../state/generated.ts'
import type { StateChange } from './state-store.ts'

/**
 * How a task's memory is written down in `<processor>-state`: one compacted record per entry. The record key says what
 * kind of entry it is; U+001F separates its parts, which therefore may not hold it. `value` null = the entry is gone.
 */
export type Entry =
  | { readonly kind: 'position'; readonly value: g.Position | null }
  | { readonly kind: 'state'; readonly change: StateChange }
  | { readonly kind: 'timer'; readonly key: string; readonly timer: string; readonly value: g.Timer | null }
  | { readonly kind: 'effect'; readonly key: string; readonly effectId: string; readonly value: g.PendingEffect | null }
  | { readonly kind: 'closed'; readonly key: string; readonly value: g.ClosedKey | null }
  | { readonly kind: 'blocked'; readonly key: string; readonly value: g.BlockedKey | null }
  | { readonly kind: 'queued'; readonly key: string; readonly sequence: number; readonly value: g.QueuedInput | null }
  | { readonly kind: 'replay'; readonly value: g.Replay | null }
  | { readonly kind: 'held'; readonly outputId: string; readonly value: g.HeldOutput | null }
  | {
      readonly kind: 'confirmation'
      readonly key: string
      readonly eventId: string
      readonly value: g.Confirmation | null
    }
  | { readonly kind: 'request'; readonly requestId: string; readonly value: g.OperatorRequest | null }

export interface ChangelogRecord {
  readonly key: string
  /** null = the entry is gone (a tombstone). */
  readonly value: Buffer | null
}

export const SEPARATOR = '\u001f'

/** A record key is a part of the key of everything that is remembered of it: what is left must be enough for a value. */
const LONGEST_KEY = 4_096

/** Whether the entries of a key can be written: without it, nothing of the key can be remembered or wait. */
export const isUsableKey = (key: string | null): key is string =>
  key !== null && key !== '' && key.length <= LONGEST_KEY && !key.includes(SEPARATOR)

/** First part of an entry's record key. */
const KIND = {
  position: 'p',
  state: 's',
  timer: 't',
  effect: 'e',
  closed: 'c',
  blocked: 'b',
  queued: 'q',
  replay: 'r',
  held: 'h',
  confirmation: 'f',
  request: 'o',
  piece: 'm',
} as const

/** The largest sequence has 16 digits: padded, the order of keys is the order of sequences. */
const SEQUENCE_DIGITS = 16

const join = (...parts: readonly string[]): string => parts.map(separable).join(SEPARATOR)

const separable = (part: string): string => {
  if (!part.includes(SEPARATOR)) return part
  throw new BugError('KEY_INVALID', 'a key or id holds U+001F, which separates them', { facts: { bad: part } })
}

/** As `join`, for the one kind that nearly every step writes. */
const stateKey = (key: string, collection: string, id: string): string =>
  `${KIND.state}${SEPARATOR}${separable(key)}${SEPARATOR}${separable(collection)}${SEPARATOR}${id === '' ? '' : separable(id)}`

/** Entry → record. Throws BugError ENCODE_INVALID when a value does not fit its schema. */
export const toRecord = (entry: Entry, codec: Codec, shape: StateShape): ChangelogRecord => {
  const encoded = <T>(schema: AvroSchema<T>, value: T | null) => (value === null ? null : codec.encode(schema, value))
  switch (entry.kind) {
    case 'position':
      return { key: KIND.position, value: encoded(g.PositionSchema, entry.value) }
    case 'timer':
      return { key: join(KIND.timer, entry.key, entry.timer), value: encoded(g.TimerSchema, entry.value) }
    case 'effect':
      return { key: join(KIND.effect, entry.key, entry.effectId), value: encoded(g.PendingEffectSchema, entry.value) }
    case 'closed':
      return { key: join(KIND.closed, entry.key), value: encoded(g.ClosedKeySchema, entry.value) }
    case 'blocked':
      return { key: join(KIND.blocked, entry.key), value: encoded(g.BlockedKeySchema, entry.value) }
    case 'queued': {
      const sequence = String(entry.sequence).padStart(SEQUENCE_DIGITS, '0')
      return { key: join(KIND.queued, entry.key, sequence), value: encoded(g.QueuedInputSchema, entry.value) }
    }
    case 'replay':
      return { key: KIND.replay, value: encoded(g.ReplaySchema, entry.value) }
    case 'held':
      return { key: join(KIND.held, entry.outputId), value: encoded(g.HeldOutputSchema, entry.value) }
    case 'confirmation': {
      const value = encoded(g.ConfirmationSchema, entry.value)
      return { key: join(KIND.confirmation, entry.key, entry.eventId), value }
    }
    case 'request':
      return { key: join(KIND.request, entry.requestId), value: encoded(g.OperatorRequestSchema, entry.value) }
    case 'state': {
      const { key, collection, id, value } = entry.change
      const schema = shape[collection]
      if (schema === undefined) throw new BugError('COLLECTION_UNKNOWN', `no collection ${collection} is declared`)
      return {
        key: stateKey(key, collection, id),
        value: value === undefined ? null : codec.encode(schema, value as never),
      }
    }
  }
}

/** Record → entry. Throws when the record was not written by `toRecord` for this shape. */
export const fromRecord = (record: ChangelogRecord, codec: Codec, shape: StateShape): Entry => {
  const [kind, key = '', second = '', third = ''] = record.key.split(SEPARATOR)
  const decoded = <T>(schema: AvroSchema<T>): T | null =>
    record.value === null ? null : codec.decode(schema, record.value)
  switch (kind) {
    case KIND.position:
      return { kind: 'position', value: decoded(g.PositionSchema) }
    case KIND.timer:
      return { kind: 'timer', key, timer: second, value: decoded(g.TimerSchema) }
    case KIND.effect:
      return { kind: 'effect', key, effectId: second, value: decoded(g.PendingEffectSchema) }
    case KIND.closed:
      return { kind: 'closed', key, value: decoded(g.ClosedKeySchema) }
    case KIND.blocked:
      return { kind: 'blocked', key, value: decoded(g.BlockedKeySchema) }
    case KIND.queued:
      return { kind: 'queued', key, sequence: Number(second), value: decoded(g.QueuedInputSchema) }
    case KIND.replay:
      return { kind: 'replay', value: decoded(g.ReplaySchema) }
    case KIND.held:
      return { kind: 'held', outputId: key, value: decoded(g.HeldOutputSchema) }
    case KIND.confirmation:
      return { kind: 'confirmation', key, eventId: second, value: decoded(g.ConfirmationSchema) }
    case KIND.request:
      return { kind: 'request', requestId: key, value: decoded(g.OperatorRequestSchema) }
    case KIND.state: {
      const schema = shape[second]
      if (schema === undefined) throw new BugError('COLLECTION_UNKNOWN', `the changelog holds a collection ${second}`)
      const value = record.value === null ? undefined : codec.decode(schema, record.value)
      return { kind: 'state', change: { key, collection: second, id: third, value } }
    }
    default:
      throw new BugError('CHANGELOG_UNREADABLE', 'a changelog record has a key of no known kind', {
        facts: { key: record.key },
      })
  }
}

/** Key of the n-th (from 0) of the pieces that a record is cut into because it is too large for one. */
export const pieceKey = (key: string, n: number, of: number): string => [KIND.piece, n, of, key].join(SEPARATOR)

/** Which piece of which record it is; null when it is no piece. */
export const pieceOf = ({ key }: ChangelogRecord): { key: string; n: number; of: number } | null => {
  if (!key.startsWith(KIND.piece + SEPARATOR)) return null
  const [, n, of, ...rest] = key.split(SEPARATOR)
  return { key: rest.join(SEPARATOR), n: Number(n), of: Number(of) }
}

/** Whether a changelog record is an operator's: anybody but the task itself writes only these. */
export const isRequest = ({ key }: ChangelogRecord): boolean => key.startsWith(KIND.request + SEPARATOR)

/** Whether it is the task's position: a changelog without one was lost, or has never begun. */
export const isPosition = ({ key }: ChangelogRecord): boolean => key === KIND.position
