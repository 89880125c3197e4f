import { BugError } from '../../platform/errors.ts'
import { deriveId } from '../../platform/ids.ts'
import type { AvroSchema, Codec } from '../codec/avro.ts'
import { envelopeHeaders } from '../codec/envelope.ts'
import { MAX_RECORD_BYTES, type OutputRecord } from '../kafka/log-records.ts'
import type { Cause, Collection, Destination, Edge, Processor } from '../processor.ts'
import type { StateStore } from './state-store.ts'

/**
 * One handler call: the context it is given, and what it asked for. Nothing here changes the task; the core applies a
 * step when the handler returned, and forgets it when the handler threw.
 */
export interface StepOrigin {
  readonly key: string
  readonly nowMs: number
  readonly cause: Cause
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

export interface StepSettings {
  readonly processor: Processor
  readonly codec: Codec
  /** ce_source of what is emitted. */
  readonly source: string
}

export class Step {
  readonly outputs: OutputRecord[] = []
  readonly performs: AskedEffect[] = []
  readonly cancels = new Set<string>()
  /** Timer name → when; null = removed. */
  readonly timers = new Map<string, number | null>()
  closed = false
  readonly origin: StepOrigin
  readonly #settings: StepSettings
  readonly #emitted = new Map<string, number>()

  constructor(settings: StepSettings, origin: StepOrigin) {
    this.#settings = settings
    this.origin = origin
  }

  context(store: StateStore): unknown {
    const { processor } = this.#settings
    const { key, nowMs, cause, identity } = this.origin
    return {
      key,
      now: nowMs,
      cause,
      state: collectionsOf(store, key, Object.keys(processor.state)),
      emit: this.emitters(),
      perform: Object.fromEntries(
        Object.keys(processor.effects).map((name) => [name, (input: unknown) => this.#perform(name, input)]),
      ),
      cancel: (name: string) => this.#cancel(name),
      schedule: (timer: string, atMs: number) => void this.timers.set(this.#declaredTimer(timer), atMs),
      unschedule: (timer: string) => void this.timers.set(this.#declaredTimer(timer), null),
      close: () => {
        this.closed = true
      },
      id: (n: string | number) => deriveId(processor.name, identity, 'id', n),
    }
  }

  emitters(): Record<string, (event: object, destination?: Destination) => void> {
    const emitters: Record<string, (event: object, destination?: Destination) => void> = {}
    for (const edge of this.#settings.processor.writes) {
      for (const event of edge.events) emitters[event] = (data, to) => this.#emit(edge, event, data, to ?? {})
    }
    return emitters
  }

  #emit(edge: Edge, event: string, data: object, to: Destination): void {
    const { codec } = this.#settings
    const schema = edge.topic.events[event]
    if (schema === undefined) throw new BugError('EVENT_UNKNOWN', `${edge.topic.name} has no event ${event}`)
    this.outputs.push({
      topic: edge.topic.name,
      key: this.#keyOf(to, event),
      ...(to.partition === undefined ? {} : { partition: to.partition }),
      value: encodeWithin(codec, schema, data as never),
      headers: edge.topic.envelope === 'none' ? NO_HEADERS : this.#envelope(schema.name),
    })
  }

  #envelope(type: string): Readonly<Record<string, string>> {
    const { processor, source } = this.#settings
    const { identity, cause, nowMs, traceparent } = this.origin
    const id = outputIdOf(processor.name, identity, type, this.#countOf(type))
    return envelopeHeaders({ id, type, source, timeMs: nowMs, causationId: cause.id, traceparent })
  }

  /** How many of this type were emitted before. */
  #countOf(type: string): number {
    const count = this.#emitted.get(type) ?? 0
    this.#emitted.set(type, count + 1)
    return count
  }

  #keyOf(to: Destination, event: string): string {
    const key = to.key ?? this.origin.key
    if (key === '') throw new BugError('KEY_MISSING', `${event} is emitted without a key: a hook has none of its own`)
    return key
  }

  #perform(name: string, input: unknown): string {
    const { processor, codec } = this.#settings
    const declared = processor.effects[name]
    if (declared === undefined) throw new BugError('EFFECT_UNKNOWN', `no effect ${name} is declared`)
    const id = deriveId(processor.name, this.origin.identity, 'effect', this.performs.length)
    this.performs.push({
      id,
      effect: name,
      input,
      inputBytes: encodeWithin(codec, declared.input, input),
    })
    return id
  }

  #cancel(name: string): void {
    this.cancels.add(name)
    const kept = this.performs.filter((asked) => asked.effect !== name)
    this.performs.splice(0, this.performs.length, ...kept)
  }

  #declaredTimer(name: string): string {
    if (!this.#settings.processor.timers.includes(name)) {
      throw new BugError('TIMER_UNKNOWN', `no timer ${name} is declared`)
    }
    return name
  }
}

const NO_HEADERS: Readonly<Record<string, string>> = {}

/**
 * ce_id of the n-th event of its type that a step emits (n from 0). Counted per type, so that a later version which emits
 * something else beside it gives it the same id.
 */
export const outputIdOf = (processor: string, identity: string, type: string, n: number): string =>
  deriveId(processor, identity, type, n)

const collectionsOf = (store: StateStore, key: string, names: readonly string[]): Record<string, Collection<unknown>> =>
  Object.fromEntries(names.map((name) => [name, store.collection(key, name)]))

const encodeWithin = <T>(codec: Codec, schema: AvroSchema<T>, value: T): Buffer =>
  withinLimit(codec.encode(schema, value), schema.name)

/** What no batch could hold fails in its handler, where the key is known, not in the commit. */
export const withinLimit = (bytes: Buffer, what: string): Buffer => {
  if (bytes.length <= MAX_RECORD_BYTES) return bytes
  throw new BugError('RECORD_TOO_LARGE', `${what} takes ${bytes.length} bytes, at most ${MAX_RECORD_BYTES} fit`)
}
