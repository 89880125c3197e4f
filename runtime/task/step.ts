import { BugError, type Facts } from '../../platform/errors.ts'
import { deriveId } from '../../platform/ids.ts'
import type { AvroSchema, Codec } from '../codec/avro.ts'
import { envelopeHeaders } from '../codec/envelope.ts'
import { MAX_RECORD_BYTES, type OutputRecord } from '../kafka/log-records.ts'
import type { Cause, Destination, Edge, LogLevel, Processor } from '../processor.ts'

/**
 * What one handler call asked for. Nothing here changes the task; the core applies a step when the handler returned, and
 * forgets it when the handler threw.
 */
export interface StepOrigin {
  readonly key: string
  readonly nowMs: number
  readonly cause: Cause
  /** That of `cause`, which need not be made for it. */
  readonly causeId: string
  /** Identity of the cause: the same work done again gets the same ids (`topic/partition/offset@time`, `timer/<id>` …). */
  readonly identity: string
  readonly traceparent: string | null
}

export interface AskedEffect {
  readonly id: string
  readonly effect: string
  readonly input: unknown
  readonly inputBytes: Buffer
}

/** A line for the log, once the step is committed. */
export interface Note {
  readonly level: LogLevel
  readonly message: string
  readonly facts: Facts
}

export interface StepSettings {
  readonly processor: Processor
  readonly codec: Codec
  /** ce_source of what is emitted. */
  readonly source: string
}

export class Step {
  readonly origin: StepOrigin
  readonly #settings: StepSettings
  // One step in a million asks for many things, most for one or none: what is not needed is not made.
  #outputs: OutputRecord[] = NO_OUTPUTS
  #performs: readonly AskedEffect[] = NO_PERFORMS
  #cancels: Set<string> | null = null
  #timers: Map<string, number | null> | null = null
  #notes: Note[] = NO_NOTES
  #closed = false
  #firstType: string | null = null
  #emitted: Map<string, number> | null = null
  #asked: Map<string, number> | null = null

  constructor(settings: StepSettings, origin: StepOrigin) {
    this.#settings = settings
    this.origin = origin
  }

  get outputs(): readonly OutputRecord[] {
    return this.#outputs
  }

  get performs(): readonly AskedEffect[] {
    return this.#performs
  }

  /** Names of effects whose pending ones are cancelled. */
  get cancels(): ReadonlySet<string> {
    return this.#cancels ?? NO_CANCELS
  }

  /** Timer name → when; null = removed. */
  get timers(): ReadonlyMap<string, number | null> {
    return this.#timers ?? NO_TIMERS
  }

  get notes(): readonly Note[] {
    return this.#notes
  }

  get closed(): boolean {
    return this.#closed
  }

  close(): void {
    this.#closed = true
  }

  id(n: string | number): string {
    return deriveId(this.#settings.processor.name, this.origin.identity, 'id', n)
  }

  emit(edge: Edge, event: string, data: object, to: Destination = NO_DESTINATION): void {
    const schema = edge.topic.events[event]
    if (schema === undefined) throw new BugError('EVENT_UNKNOWN', `${edge.topic.name} has no event ${event}`)
    const topic = edge.topic.name
    const key = this.#keyOf(to, event)
    const value = encodeWithin(this.#settings.codec, schema, data as never)
    const headers = edge.topic.envelope === 'none' ? NO_HEADERS : this.#envelope(schema.name)
    const { partition } = to
    const output = partition === undefined ? { topic, key, value, headers } : { topic, key, partition, value, headers }
    if (this.#outputs.length === 0) this.#outputs = [output]
    else this.#outputs.push(output)
  }

  #envelope(type: string): Readonly<Record<string, string>> {
    const { processor, source } = this.#settings
    const { identity, causeId, nowMs, traceparent } = this.origin
    const id = outputIdOf(processor.name, identity, type, this.#countOf(type))
    return envelopeHeaders({ id, type, source, timeMs: nowMs, causationId: causeId, traceparent })
  }

  /** How many of this type were emitted before. Most steps emit once. */
  #countOf(type: string): number {
    if (this.#firstType === null) {
      this.#firstType = type
      return 0
    }
    this.#emitted ??= new Map([[this.#firstType, 1]])
    const count = this.#emitted.get(type) ?? 0
    this.#emitted.set(type, count + 1)
    return count
  }

  #keyOf(to: Destination, event: string): string {
    const key = to.key ?? this.origin.key
    if (key === '') throw new BugError('KEY_MISSING', `${event} is emitted without a key: a hook has none of its own`)
    return key
  }

  perform(name: string, input: unknown): string {
    const { processor, codec } = this.#settings
    const declared = processor.effects[name]
    if (declared === undefined) throw new BugError('EFFECT_UNKNOWN', `no effect ${name} is declared`)
    this.#asked ??= new Map()
    const n = this.#asked.get(name) ?? 0
    this.#asked.set(name, n + 1)
    const id = effectIdOf(processor.name, this.origin.identity, name, n)
    // Kept for as long as the effect is pending: a copy, or it would keep the slab that it was encoded in.
    const inputBytes = Buffer.from(encodeWithin(codec, declared.input, input))
    this.#performs = [...this.#performs, { id, effect: name, input, inputBytes }]
    return id
  }

  note(note: Note): void {
    if (this.#notes.length === 0) this.#notes = [note]
    else this.#notes.push(note)
  }

  cancel(name: string): void {
    this.#cancels ??= new Set()
    this.#cancels.add(name)
    this.#performs = this.#performs.filter((asked) => asked.effect !== name)
  }

  setTimer(name: string, atMs: number | null): void {
    if (!this.#settings.processor.timers.includes(name)) {
      throw new BugError('TIMER_UNKNOWN', `no timer ${name} is declared`)
    }
    this.#timers ??= new Map()
    this.#timers.set(name, atMs)
  }

  /** The timer that this step is about is gone. */
  fired(name: string): void {
    this.#timers ??= new Map()
    this.#timers.set(name, null)
  }
}

const NO_OUTPUTS: OutputRecord[] = []
const NO_NOTES: Note[] = []
const NO_PERFORMS: readonly AskedEffect[] = []
const NO_CANCELS: ReadonlySet<string> = new Set()
const NO_TIMERS: ReadonlyMap<string, null> = new Map()
const NO_DESTINATION: Destination = {}
const NO_HEADERS: Readonly<Record<string, string>> = {}

/**
 * ce_id of the n-th event of its type that a step emits (n from 0). Counted per type, so that a later version which emits
 * something else beside it gives it the same id.
 */
export const outputIdOf = (processor: string, identity: string, type: string, n: number): string =>
  deriveId(processor, identity, type, n)

/**
 * Id of the n-th effect of its name that a step asks for (n from 0), counted per name for the same reason. What is
 * cancelled in the step that asked for it keeps its number: an id is never used again.
 */
export const effectIdOf = (processor: string, identity: string, name: string, n: number): string =>
  deriveId(processor, identity, 'effect', name, n)

const encodeWithin = <T>(codec: Codec, schema: AvroSchema<T>, value: T): Buffer =>
  withinLimit(codec.encode(schema, value), schema.name)

/** What no batch could hold fails in its handler, where the key is known, not in the commit. */
export const withinLimit = (bytes: Buffer, what: string, limitBytes = MAX_RECORD_BYTES): Buffer => {
  if (bytes.length <= limitBytes) return bytes
  throw new BugError('RECORD_TOO_LARGE', `${what} takes ${bytes.length} bytes, at most ${limitBytes} fit`)
}
