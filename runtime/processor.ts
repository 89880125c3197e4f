/**
 * The public vocabulary of the stream engine: what a processor says about itself.
 *
 * A processor is a pure, synchronous fold over the records of its input topics, one key at a time. A handler reads the
 * event and the key's state and may change the state, emit events, set timers and ask for effects; it does no I/O, reads
 * no clock and throws no dice. Everything it does in one step becomes visible in ONE Kafka transaction together with the
 * input position, so a record is folded exactly once however often it is delivered.
 *
 * What touches the world is an effect: data journaled in that same transaction. After the commit an executor, bound only
 * in a composition root, runs it outside any transaction; its numbered reports and its outcome come back as handler calls
 * (`reported`, `settled`). Effect at least once, fact exactly once. There is no other channel from an effect to the log.
 *
 * From the declaration alone the engine derives consumer group, changelog, transactional ids, topic checks and drawing.
 *
 *     export const probeSource = defineProcessor(
 *       {
 *         name: 'probe-source',
 *         reads: [from(videoEvents, ['UploadCompleted'])],
 *         writes: [to(videoEvents, ['SourceProbed'])],
 *         effects: { probe: effect({ input: ProbeInputSchema, outcome: ProbeOutcomeSchema, attempts: 5 }) },
 *       },
 *       {
 *         on: { 'video-events': { UploadCompleted: (ctx, event) => ctx.perform.probe({ objectKey: event.objectKey }) } },
 *         settled: { probe: (ctx, _input, outcome) => outcome.ok && ctx.emit.SourceProbed(outcome.value) },
 *       },
 *     )
 */
import { ConfigError, type Facts } from '../platform/errors.ts'
import type { AvroSchema } from './codec/avro.ts'
import type { EffectPolicy } from './effect-policy.ts'

/** A topic as the engine sees it: its name and the record type of each event that may be on it. */
export interface TopicRef {
  readonly name: string
  readonly partitions: string
  readonly events: { readonly [event: string]: AvroSchema<unknown> }
  /** Producers outside write to it: a record that cannot be read goes to the dead letters instead of blocking its key. */
  readonly door?: boolean
  /**
   * What is said about an event emitted to it: CloudEvents headers (the default), or nothing, for topics of high volume
   * that only the engine reads. Without an envelope a record carries no id, cause or trace: a replay cannot know what of
   * them was written, and writes them again.
   */
  readonly envelope?: 'cloudevents' | 'none'
}

type EventNames<T extends TopicRef> = keyof T['events'] & string
type DataOf<S> = S extends { readonly __type?: infer T } ? Exclude<T, undefined> : never
type EventData<T extends TopicRef, N extends string> = DataOf<T['events'][N]>

/** An edge of the topology: these events of this topic. */
export interface Edge<T extends TopicRef = TopicRef, N extends string = string> {
  readonly topic: T
  readonly events: readonly N[]
  /** Read to its end, as of opening, before any record of the other inputs. */
  readonly bootstrap: boolean
}

export const from = <T extends TopicRef, const N extends EventNames<T>>(
  topic: T,
  events: readonly N[],
  options: { readonly bootstrap?: boolean } = {},
): Edge<T, N> => ({ topic, events, bootstrap: options.bootstrap ?? false })

export const to = <T extends TopicRef, const N extends EventNames<T>>(topic: T, events: readonly N[]): Edge<T, N> => ({
  topic,
  events,
  bootstrap: false,
})

/** Avro record types by collection. A collection maps ids (the empty id for a single value) to values, per key. */
export type StateShape = { readonly [collection: string]: AvroSchema<unknown> }

/** How an effect ended. A domain failure is a value of `T`; `ok: false` means that it could not be carried out. */
export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly code: string; readonly detail: string }

export interface EffectDeclaration<Input = unknown, Result = unknown, Report = unknown> {
  readonly input: AvroSchema<Input>
  readonly outcome: AvroSchema<Result>
  readonly report: AvroSchema<Report> | null
  /** Collections whose entries of the key the executor may `read`, as of the commit of the effect or a later one. */
  readonly reads: readonly string[]
  readonly policy: EffectPolicy
}
// biome-ignore lint/suspicious/noExplicitAny: the constraint of a mapped type; concrete effects are inferred exactly
type AnyEffect = EffectDeclaration<any, any, any>
export type EffectShape = { readonly [name: string]: AnyEffect }

/** What caused the step. `id` is the ce_id of the record, or of the record that first caused the effect or timer. */
export interface Cause {
  readonly id: string
  readonly topic: string
  readonly partition: number
  /** Offset of the record; null for a timer, a report, an outcome or a hook. */
  readonly offset: bigint | null
  /** Broker time of the record; for anything else the clock of the step. Milliseconds. */
  readonly timestampMs: number
  /** ce_id of what caused the record: for an admitted fact, the claim. */
  readonly causationId: string | null
  /** ce_source of the record: who says that he said it. Null for anything else than a record. */
  readonly source: string | null
}

export interface Collection<T> {
  /** The value under `id` (default: the empty id), or undefined. */
  get(id?: string): T | undefined
  put(value: T, id?: string): void
  delete(id?: string): void
  /** All entries whose id begins with `prefix`, in code-unit order of the id. */
  entries(prefix?: string): readonly (readonly [id: string, value: T])[]
}

/** The collections of a state shape, as `ctx.state` has them: for functions that handlers share. */
export type StateOf<Shape extends StateShape> = { readonly [C in keyof Shape]: Collection<DataOf<Shape[C]>> }

export interface Destination {
  /** Key of the record; default: the key of the step. */
  readonly key?: string
  /** Explicit partition; default: murmur2 of the key, as every Kafka client does. */
  readonly partition?: number
}

type Edges = readonly Edge[]
// One edge holds several event names, so the map is built per name, not per edge.
type EmitMap<Writes extends Edges> = UnionToIntersection<
  Writes[number] extends infer W
    ? W extends Edge<infer T, infer N>
      ? { readonly [E in N]: (event: EventData<T, E>, destination?: Destination) => void }
      : never
    : never
>
type UnionToIntersection<U> = (U extends unknown ? (value: U) => void : never) extends (value: infer I) => void
  ? I
  : never

/**
 * Lines of the process's log, beside its processor, task, key and event id. They are written when the step is committed, in
 * their order: at most once each, none of a step that failed, none by a replay. As everywhere in the log the message is a
 * short constant phrase, and the facts hold no secret and no signed URL.
 */
export type StepLog = { readonly [Level in LogLevel]: (facts: Facts, message: string) => void }
export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

export interface Context<
  Writes extends Edges,
  State extends StateShape,
  Effects extends EffectShape,
  Timer extends string,
> {
  readonly key: string
  /** The injected clock at this step, milliseconds since the epoch. */
  readonly now: number
  readonly cause: Cause
  readonly state: StateOf<State>
  readonly emit: EmitMap<Writes>
  /** Journals an effect of this key; returns its deterministic id. */
  readonly perform: { readonly [E in keyof Effects]: (input: DataOf<Effects[E]['input']>) => string }
  /** Cancels every pending effect of that name of this key: its executor's signal aborts, no outcome follows. */
  cancel(effect: keyof Effects & string): void
  /** Sets or moves this key's timer of that name: to a time of the wall clock, or of the records if it is declared so. */
  schedule(timer: Timer, atMs: number): void
  unschedule(timer: Timer): void
  /** Ends the key's life: effects and timers cancelled, state dropped, later events ignored. */
  close(): void
  /** A deterministic id of this step: the same n gives the same id whenever the step is done again. */
  id(n: string | number): string
  readonly log: StepLog
}

/** What a hook sees: the task as a whole, not one key. */
export interface HookContext<Writes extends Edges> {
  readonly task: number
  readonly instanceId: string
  readonly now: number
  readonly pending: readonly { readonly key: string; readonly effect: string; readonly effectId: string }[]
  readonly emit: EmitMap<Writes>
}

type HandlersOf<E, Ctx> =
  E extends Edge<infer T, infer N>
    ? { readonly [Topic in T['name']]: { readonly [Event in N]: (ctx: Ctx, event: EventData<T, Event>) => void } }
    : never
type OnMap<E extends Edges, Ctx> = [E[number]] extends [never]
  ? unknown
  : UnionToIntersection<HandlersOf<E[number], Ctx>>
type ClosingMap<E extends Edges, Ctx> = PartialTwice<OnMap<E, Ctx>>
type PartialTwice<T> = { readonly [A in keyof T]?: { readonly [B in keyof T[A]]?: T[A][B] } }

export interface Declaration<
  Reads extends Edges,
  Writes extends Edges,
  State extends StateShape,
  Effects extends EffectShape,
  Timer extends string,
  Closing extends Edges,
> {
  /** Verb-noun, kebab-case: folder, consumer group, and prefix of `<name>-state`. */
  readonly name: string
  /**
   * Raised when the meaning of what is folded changes; the task is then rebuilt from its inputs. Default 1. To read more
   * than before has the same effect by itself.
   */
  readonly version?: number
  /** Where a task without a changelog begins on a topic with history. Default: 'beginning'. */
  readonly start?: 'beginning' | 'now'
  readonly reads: Reads
  readonly writes: Writes
  readonly state?: State
  readonly effects?: Effects
  /**
   * Events of the processor's own that say how an effect ended. A replay knows its effects by the ids of what they
   * emitted; where their cause may differ from one run to the next (a timer, or the record after it), the event of the
   * same key confirms the oldest effect of that name, unless it is the outcome of an effect that is known by its id.
   */
  readonly confirmedBy?: { readonly [E in keyof Effects]?: Edges }
  /** Due on the wall clock, but for those that are in `recordTimers`, too: deadlines. */
  readonly timers?: readonly Timer[]
  /**
   * Those of `timers` that are due on record time, the latest broker time of what the task has folded: windows. They fire
   * before the record that moves the time past them, in the order of their times, each with its own time as `ctx.now`: at
   * the same place however often the log is read. That is why there may be one input topic only: the order of two is
   * another each time. One that is set for a time that has passed fires at once, before the next record; one that fires
   * may set others for later only (TIMER_NOT_LATER). Those of a blocked key wait with it, and fire after what waited.
   */
  readonly recordTimers?: readonly Timer[]
  /** Events after which a key is over. They are read like `reads`; their handlers go under `closing`. */
  readonly closedBy?: Closing
  /** Events that are still handled after the end of the key. */
  readonly afterClose?: Edges
}

export interface Behaviour<
  Reads extends Edges,
  Writes extends Edges,
  State extends StateShape,
  Effects extends EffectShape,
  Timer extends string,
  Closing extends Edges,
> {
  readonly on: OnMap<Reads, Context<Writes, State, Effects, Timer>>
  /** Runs before the state of the key is dropped; what it emits and performs survives until settled. */
  readonly closing?: ClosingMap<Closing, Context<Writes, State, Effects, Timer>>
  readonly settled?: {
    readonly [E in keyof Effects]: (
      ctx: Context<Writes, State, Effects, Timer>,
      input: DataOf<Effects[E]['input']>,
      outcome: Outcome<DataOf<Effects[E]['outcome']>>,
    ) => void
  }
  readonly reported?: {
    readonly [E in keyof Effects]?: (
      ctx: Context<Writes, State, Effects, Timer>,
      input: DataOf<Effects[E]['input']>,
      n: number,
      value: Effects[E] extends EffectDeclaration<infer _I, infer _O, infer R> ? R : never,
    ) => void
  }
  readonly due?: { readonly [T in Timer]: (ctx: Context<Writes, State, Effects, Timer>) => void }
  /** The task is owned and restored; what it emits is committed before the first record is read. */
  readonly opened?: (ctx: HookContext<Writes>) => void
  /** The task is given up gracefully. */
  readonly closed?: (ctx: HookContext<Writes>) => void
}

/** A processor as the engine runs it: the declaration with its defaults, and the behaviour behind erased types. */
export interface Processor {
  readonly name: string
  readonly version: number
  readonly start: 'beginning' | 'now'
  readonly reads: Edges
  readonly writes: Edges
  readonly state: StateShape
  readonly effects: EffectShape
  readonly confirmedBy: { readonly [effect: string]: Edges | undefined }
  readonly timers: readonly string[]
  readonly recordTimers: readonly string[]
  readonly closedBy: Edges
  readonly afterClose: Edges
  readonly behaviour: ErasedBehaviour
}

// The engine calls handlers by name; their argument types were checked where the processor was defined.
type ErasedHandler = (ctx: unknown, ...rest: unknown[]) => unknown
export interface ErasedBehaviour {
  readonly on: { readonly [topic: string]: { readonly [event: string]: ErasedHandler } | undefined }
  readonly closing: { readonly [topic: string]: { readonly [event: string]: ErasedHandler } | undefined }
  readonly settled: { readonly [effect: string]: ErasedHandler | undefined }
  readonly reported: { readonly [effect: string]: ErasedHandler | undefined }
  readonly due: { readonly [timer: string]: ErasedHandler | undefined }
  readonly opened: ErasedHandler | null
  readonly closed: ErasedHandler | null
}

/**
 * Throws ConfigError RECORD_TIME_AMBIGUOUS when it has timers on record time and more than one input topic, and
 * TIMER_UNDECLARED when one of those is not among its timers.
 */
export const defineProcessor = <
  const Reads extends Edges,
  const Writes extends Edges,
  // biome-ignore lint/complexity/noBannedTypes: "no collections" must be an empty object type, not an index signature
  const State extends StateShape = {},
  // biome-ignore lint/complexity/noBannedTypes: as above, "no effects"
  const Effects extends EffectShape = {},
  const Timer extends string = never,
  const Closing extends Edges = readonly [],
>(
  declaration: Declaration<Reads, Writes, State, Effects, Timer, Closing>,
  behaviour: Behaviour<Reads, Writes, State, Effects, Timer, Closing>,
): Processor => {
  const erased = behaviour as unknown as Partial<ErasedBehaviour>
  const processor: Processor = {
    name: declaration.name,
    version: declaration.version ?? 1,
    start: declaration.start ?? 'beginning',
    reads: declaration.reads,
    writes: declaration.writes,
    state: declaration.state ?? {},
    effects: declaration.effects ?? {},
    confirmedBy: declaration.confirmedBy ?? {},
    timers: declaration.timers ?? [],
    recordTimers: declaration.recordTimers ?? [],
    closedBy: declaration.closedBy ?? [],
    afterClose: declaration.afterClose ?? [],
    behaviour: {
      on: erased.on ?? {},
      closing: erased.closing ?? {},
      settled: erased.settled ?? {},
      reported: erased.reported ?? {},
      due: erased.due ?? {},
      opened: erased.opened ?? null,
      closed: erased.closed ?? null,
    },
  }
  requireOneTime(processor)
  requireDeclaredTimers(processor)
  return processor
}

/** The types cannot tell: they learn the names from either list. */
const requireDeclaredTimers = ({ name, timers, recordTimers }: Processor): void => {
  const undeclared = recordTimers.filter((timer) => !timers.includes(timer))
  if (undeclared.length === 0) return
  throw new ConfigError(
    'TIMER_UNDECLARED',
    `${name} has ${undeclared.join(', ')} on record time, not among its timers`,
    {
      facts: { processor: name },
    },
  )
}

/** Record time depends on the order of the records, which is given within a topic only. */
const requireOneTime = (processor: Processor): void => {
  const topics = inputTopicsOf(processor)
  if (processor.recordTimers.length === 0 || topics.length <= 1) return
  throw new ConfigError(
    'RECORD_TIME_AMBIGUOUS',
    `${processor.name} has timers on record time and reads ${topics.join(', ')}: expected one topic`,
    { facts: { processor: processor.name } },
  )
}

/** Every edge a processor reads, the closing and the confirming ones included. */
export const inputsOf = (processor: Processor): Edges => [
  ...processor.reads,
  ...processor.closedBy,
  ...processor.afterClose,
  ...Object.values(processor.confirmedBy).flatMap((edges) => edges ?? []),
]

/** What its state is folded from, as `topic/event`, in declaration order. What only confirms effects changes no state. */
export const foldedBy = ({ reads, closedBy }: Processor): string[] => [
  ...new Set([...reads, ...closedBy].flatMap(({ topic, events }) => events.map((event) => `${topic.name}/${event}`))),
]

/** The distinct names of the input topics, in declaration order. */
export const inputTopicsOf = (processor: Processor): readonly string[] => [
  ...new Set(inputsOf(processor).map((edge) => edge.topic.name)),
]
