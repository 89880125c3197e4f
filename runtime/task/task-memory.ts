import type { AvroSchema, Codec } from '../codec/avro.ts'
import { foldedBy, type Processor } from '../processor.ts'
import type { HeldOutput, OperatorRequest, Replay } from '../state/generated.ts'
import { BlockedKeys } from './blocked-keys.ts'
import { type ChangelogRecord, type Entry, fromRecord } from './changelog.ts'
import { EffectLedger } from './effect-ledger.ts'
import { Pieces } from './pieces.ts'
import { Positions } from './positions.ts'
import { StateStore } from './state-store.ts'
import { TimerLedger } from './timer-ledger.ts'

/**
 * Everything that a task remembers, rebuilt from its changelog entry by entry. Only bookkeeping: which entry belongs
 * where. What it means is the core's business.
 */
export class TaskMemory {
  readonly store = new StateStore()
  /** Due on the wall clock. */
  readonly timers = new TimerLedger()
  /** Due on record time. */
  readonly recordTimers = new TimerLedger()
  readonly effects: EffectLedger
  readonly closed = new Map<string, number>()
  readonly blocked = new BlockedKeys()
  /** Of queued inputs that no single record holds. */
  readonly pieces = new Pieces()
  readonly held = new Map<string, HeldOutput>()
  readonly requests = new Map<string, OperatorRequest>()
  /** By ce_id of the event, the key of the effect that is known to have settled as it says. */
  readonly confirmations = new Map<string, string>()
  readonly position = new Positions()
  recordTimeMs = 0
  changelogStart = 0
  replay: Replay | null = null
  /** Version of the processor that wrote the position; null when there is none. */
  version: number | null = null
  /** What it had folded, as `foldedBy`; empty when the position does not say. */
  reads: readonly string[] = []
  readonly #processor: Processor
  readonly #codec: Codec
  #heldSequence = 0
  /** Record keys of what this code cannot read, with the reason: another version's, or damaged. */
  readonly #unreadable = new Map<string, unknown>()

  constructor(processor: Processor, codec: Codec) {
    this.#processor = processor
    this.#codec = codec
    this.effects = new EffectLedger(processor.effects)
  }

  /** Order of emission of what is held. */
  nextHeldSequence(): number {
    return this.#heldSequence++
  }

  timersOf(name: string): TimerLedger {
    return this.isOnRecordTime(name) ? this.recordTimers : this.timers
  }

  isOnRecordTime(timer: string): boolean {
    return this.#processor.recordTimers.includes(timer)
  }

  restore(written: ChangelogRecord): void {
    const record = this.pieces.join(written)
    if (record === null) return
    this.#unreadable.delete(record.key)
    let entry: Entry
    try {
      entry = fromRecord(record, this.#codec, this.#processor.state)
    } catch (error) {
      if (isUnlearned(error)) throw error
      if (record.value !== null) this.#unreadable.set(record.key, error)
      return
    }
    this.pieces.joined(record.key)
    this.#apply(entry)
  }

  /**
   * Whether the position is one of this processor as it is: of its version, and nothing is read by now that was passed over
   * or not read then. To read less changes nothing that was folded.
   */
  get isCurrent(): boolean {
    if (this.version !== this.#processor.version) return false
    return this.reads.length === 0 || foldedBy(this.#processor).every((edge) => this.reads.includes(edge))
  }

  /** Why an entry could not be read; undefined when all could. Tells after the whole changelog was restored. */
  get damage(): unknown {
    return this.#unreadable.values().next().value
  }

  /**
   * Tombstones of everything that a rebuild from the inputs makes again, and forgets it, also of effects that only a rebuild
   * asked for which did not end. What was promised stays: pending effects, and what operators ask. Lazily, so that whoever
   * writes them may commit in between.
   */
  *forget(): Generator<Entry | ChangelogRecord> {
    for (const key of this.#unreadable.keys()) yield { key, value: null }
    this.#unreadable.clear()
    for (const change of this.store.clear()) yield { kind: 'state', change }
    for (const timers of [this.timers, this.recordTimers]) {
      for (const { key, name } of timers.clear()) yield { kind: 'timer', key, timer: name, value: null }
    }
    for (const key of take(this.closed)) yield { kind: 'closed', key, value: null }
    for (const outputId of take(this.held)) yield { kind: 'held', outputId, value: null }
    yield* this.takeConfirmations(() => true)
    for (const key of this.blocked.keys()) {
      for (const { sequence } of this.blocked.queue(key)) {
        this.blocked.remove(key, sequence)
        yield { kind: 'queued', key, sequence, value: null }
      }
      this.blocked.unblock(key)
      yield { kind: 'blocked', key, value: null }
    }
    yield* this.pieces.clear()
    for (const { id, key } of this.effects.withdrawn()) yield { kind: 'effect', key, effectId: id, value: null }
  }

  /** What becomes of confirmations that nobody waits for any more, by their key. */
  *takeConfirmations(isOver: (key: string) => boolean): Generator<Entry> {
    for (const [eventId, key] of this.confirmations) {
      if (!isOver(key)) continue
      this.confirmations.delete(eventId)
      yield { kind: 'confirmation', key, eventId, value: null }
    }
  }

  #apply(entry: Entry): void {
    switch (entry.kind) {
      case 'position':
        this.position.clear()
        for (const [topic, offset] of Object.entries(entry.value?.offsets ?? {}))
          this.position.set(topic, BigInt(offset))
        this.recordTimeMs = entry.value?.recordTimeMs ?? 0
        this.changelogStart = entry.value?.changelogStart ?? 0
        this.version = entry.value?.version ?? null
        this.reads = entry.value?.reads ?? []
        return
      case 'state':
        return this.store.restore(entry.change)
      case 'timer': {
        const timers = this.timersOf(entry.timer)
        if (entry.value === null) return timers.remove(entry.key, entry.timer)
        return timers.put({ key: entry.key, name: entry.timer, timer: entry.value })
      }
      case 'effect':
        return this.#restoreEffect(entry)
      case 'queued':
        if (entry.value === null) return this.blocked.remove(entry.key, entry.sequence)
        return this.blocked.put(entry.key, entry.sequence, entry.value)
      case 'blocked':
        if (entry.value === null) return this.blocked.unblock(entry.key)
        return this.blocked.block(entry.key, entry.value)
      case 'replay':
        this.replay = entry.value
        return
      case 'closed':
        return keep(this.closed, entry.key, entry.value?.closedAtMs ?? null)
      case 'held':
        this.#heldSequence = Math.max(this.#heldSequence, (entry.value?.sequence ?? -1) + 1)
        return keep(this.held, entry.outputId, entry.value)
      case 'confirmation':
        return keep(this.confirmations, entry.eventId, entry.value === null ? null : entry.key)
      case 'request':
        return keep(this.requests, entry.requestId, entry.value)
    }
  }

  #restoreEffect({ effectId, key, value }: Extract<Entry, { kind: 'effect' }>): void {
    if (value === null) return this.effects.remove(effectId)
    const declared = this.#processor.effects[value.effect]
    this.effects.put({
      id: effectId,
      key,
      input: declared && this.#readable(declared.input, value.input),
      record: value,
    })
  }

  /** Undefined: written by another version, and no longer readable. Its key will wait. */
  #readable(schema: AvroSchema<unknown>, bytes: Buffer): unknown {
    try {
      return this.#codec.decode(schema, bytes)
    } catch (error) {
      if (isUnlearned(error)) throw error
      return undefined
    }
  }
}

const keep = <T>(map: Map<string, T>, key: string, value: T | null): void => {
  if (value === null) map.delete(key)
  else map.set(key, value)
}

function* take(map: Map<string, unknown>): Generator<string> {
  for (const key of map.keys()) {
    map.delete(key)
    yield key
  }
}

/** Not read yet, rather than not readable: whoever drives the task learns the schema and has it done again. */
export const isUnlearned = (error: unknown): boolean => (error as { code?: string }).code === 'SCHEMA_UNKNOWN'
