import { BugError } from '../../platform/errors.ts'
import { deriveId } from '../../platform/ids.ts'
import { type Codec, createCodec } from '../codec/avro.ts'
import { envelopeHeaders } from '../codec/envelope.ts'
import { memoryDirectory } from '../codec/schema-directory.ts'
import type { LogRecord, OutputRecord } from '../kafka/log-records.ts'
import { inputTopicsOf, type Outcome, type Processor, type TopicRef } from '../processor.ts'
import type { OperatorRequest } from '../state/generated.ts'
import { type ChangelogRecord, toRecord } from '../task/changelog.ts'
import { DEAD_LETTERS_TOPIC } from '../task/dead-letter.ts'
import { History } from '../task/history.ts'
import type { Phase, Remaining } from '../task/replay.ts'
import type { KeptNote } from '../task/step-notes.ts'
import { type Failure, TaskCore } from '../task/task-core.ts'

/**
 * Runs processors in memory, one task each, synchronously: no broker, no ports, no clock but its own. What one processor
 * emits is folded by those that read it, until nothing moves. Effects are not run: the test sees them in `effects()` and
 * says how they report and end. Events pass through the real codec and the real changelog encoding, so `restart()` is the
 * restore of production, and `lose()` its replay.
 *
 * A handler that throws blocks its key; the driver throws what it threw, unless a test is about that (`blocking`).
 */
export interface DrivenEffect {
  readonly processor: string
  readonly id: string
  readonly name: string
  readonly key: string
  readonly input: unknown
}

export interface DrivenEvent<T = unknown> {
  readonly key: string
  readonly type: string
  readonly data: T
  readonly headers: Readonly<Record<string, string>>
  readonly partition: number | null
}

type DataOf<S> = S extends { readonly __type?: infer T } ? Exclude<T, undefined> : never
type DataIn<T extends TopicRef, N extends string> = DataOf<T['events'][N]>

interface Driven {
  processor: Processor
  core: TaskCore
  readonly changelog: Map<string, Buffer>
  readonly next: Map<string, number>
  /** Its hook has run. */
  isLive: boolean
  readonly logged: KeptNote[]
}

export interface TestDriverOptions {
  readonly startAtMs?: number
  /** `keep`: a key stays blocked, as in production, and the test looks at `blocked()`. Default: `throw`. */
  readonly blocking?: 'throw' | 'keep'
}

export class TestDriver {
  readonly #codec: Codec = createCodec(memoryDirectory())
  readonly #driven: readonly Driven[]
  readonly #topics = new Map<string, LogRecord[]>()
  readonly #throwsBlocked: boolean
  #nowMs: number
  #piped = 0

  constructor(processors: readonly Processor[], options: TestDriverOptions = {}) {
    this.#nowMs = options.startAtMs ?? Date.UTC(2026, 0, 1)
    this.#throwsBlocked = options.blocking !== 'keep'
    this.#driven = processors.map((processor) => ({
      processor,
      core: this.#newCore(processor),
      changelog: new Map(),
      next: new Map(),
      isLive: false,
      logged: [],
    }))
    for (const driven of this.#driven) this.#open(driven)
    this.#settle()
  }

  get nowMs(): number {
    return this.#nowMs
  }

  /** Appends an event as a producer would and lets everything that follows happen. Returns its ce_id. */
  pipe<T extends TopicRef, N extends keyof T['events'] & string>(
    topic: T,
    event: N,
    key: string,
    data: DataIn<T, N>,
    options: { readonly id?: string; readonly causationId?: string; readonly traceparent?: string } = {},
  ): string {
    const schema = topic.events[event]
    if (schema === undefined) throw new BugError('EVENT_UNKNOWN', `${topic.name} has no event ${event}`)
    const id = options.id ?? deriveId('test', this.#piped++)
    const causationId = options.causationId ?? null
    const headers = envelopeHeaders({
      id,
      type: schema.name,
      source: '/test',
      timeMs: this.#nowMs,
      causationId,
      traceparent: options.traceparent ?? null,
    })
    this.#append({ topic: topic.name, key, value: this.#codec.encode(schema, data as never), headers })
    this.#settle()
    return id
  }

  /** Everything on a topic so far, or the events of one type, oldest first. */
  read<T extends TopicRef, N extends keyof T['events'] & string>(
    topic: T,
    event?: N,
  ): readonly DrivenEvent<DataIn<T, N>>[] {
    return (this.#topics.get(topic.name) ?? []).flatMap((record) => {
      const found = Object.entries(topic.events).find(([, schema]) => schema.name === record.headers.ce_type)
      if (found === undefined || (event !== undefined && found[0] !== event)) return []
      const data = this.#codec.decode(found[1], record.value as Buffer) as DataIn<T, N>
      const partition = record.partition < 0 ? null : record.partition
      return [{ key: record.key ?? '', type: found[0], data, headers: record.headers, partition }]
    })
  }

  /** Effects that wait for an outcome, in the order in which they were asked for. */
  effects(processor?: string): readonly DrivenEffect[] {
    return this.#driven
      .filter((driven) => processor === undefined || driven.processor.name === processor)
      .flatMap((driven) =>
        driven.core.effects().map(({ id, key, input, record }) => ({
          processor: driven.processor.name,
          id,
          name: record.effect,
          key,
          input,
        })),
      )
  }

  /** What the executor of the effect would be given to read. */
  readsOf(effectId: string): ReadonlyMap<string, readonly (readonly [string, unknown])[]> {
    const { core } = this.#ownerOf(effectId)
    const effect = core.effect(effectId)
    return effect === undefined ? new Map() : core.readsOf(effect)
  }

  report(effectId: string, n: number, value: unknown): void {
    const driven = this.#ownerOf(effectId)
    driven.core.report(effectId, n, value, this.#nowMs)
    this.#settle()
  }

  settle(effectId: string, outcome: Outcome<unknown>): void {
    const driven = this.#ownerOf(effectId)
    driven.core.settle(effectId, outcome, this.#nowMs)
    this.#settle()
  }

  /** One run of the effect ends in an error; the effect settles when its policy has no attempt left. */
  fail(effectId: string, failure: Failure): void {
    const driven = this.#ownerOf(effectId)
    driven.core.fail(effectId, failure, this.#nowMs)
    this.#settle()
  }

  /** One run begins and its process dies, as `kill -9` would have it; then the tasks are restored. */
  crash(effectId: string): void {
    const driven = this.#ownerOf(effectId)
    driven.core.begin(effectId)
    this.#commit(driven)
    this.restart()
  }

  /** Moves the clock, firing what becomes due on the way, in order. */
  advance(ms: number): void {
    const until = this.#nowMs + ms
    for (;;) {
      const due = this.#driven
        .map(({ core }) => core.nextDueMs(this.#nowMs))
        .filter((at): at is number => at !== null && at > this.#nowMs && at <= until)
      if (due.length === 0) break
      this.#nowMs = Math.min(...due)
      this.#fire()
    }
    this.#nowMs = until
    this.#fire()
  }

  /** Drops the memory of every task and restores it from its changelog. */
  restart(): void {
    for (const driven of this.#driven) this.#open(driven)
    this.#settle()
  }

  /** Loses the changelog of a processor: it replays its inputs. */
  lose(processor: string): void {
    const driven = this.#named(processor)
    driven.changelog.clear()
    this.#open(driven)
    this.#settle()
  }

  /** Restarts a processor as another version of itself, or as other code of the same version. */
  deploy(processor: Processor): void {
    const driven = this.#named(processor.name)
    driven.processor = processor
    this.#open(driven)
    this.#settle()
  }

  /**
   * Its process dies in a replay, when so many batches were committed of what it forgets; then this one opens the task.
   * Default: the same code.
   */
  dieForgetting(processor: string, batches: number, next = this.#named(processor).processor): void {
    const driven = this.#named(processor)
    const core = this.#restored(driven)
    core.needsReplay(0n)
    core.beginReplay(this.#inputsOf(driven))
    driven.core = core
    for (let n = 0; n < batches; n++) {
      if (core.forgetSome(1)) throw new BugError('FORGOTTEN', `all is forgotten before batch ${n + 1}`)
      this.#commit(driven)
    }
    this.deploy(next)
  }

  /** `held`: a replay has more left to do than is done without being asked for. */
  phase(processor: string): Phase {
    return this.#named(processor).core.phase
  }

  remaining(processor: string): Remaining {
    return this.#named(processor).core.remaining(this.#nowMs)
  }

  /** As `reelstream processors release`. */
  release(processor: string): void {
    this.#request(processor, 'RELEASE')
  }

  /** As `reelstream blocked retry`. */
  retry(processor: string, key: string): void {
    this.#request(processor, 'RETRY', key)
  }

  /** As `reelstream blocked skip`. */
  skip(processor: string, key: string): void {
    this.#request(processor, 'SKIP', key)
  }

  /** Keys that wait behind a failure. */
  blocked(processor: string): ReturnType<TaskCore['blocked']> {
    return this.#named(processor).core.blocked()
  }

  /** Dead letters so far: the original bytes, and headers that say where they were read and why they were refused. */
  dlq(): readonly LogRecord[] {
    return this.#topics.get(DEAD_LETTERS_TOPIC) ?? []
  }

  /** What its handlers wrote for the log, in their order. */
  logged(processor: string): readonly KeptNote[] {
    return this.#named(processor).logged
  }

  /** Appends bytes as any producer might. */
  pipeBytes(topic: TopicRef, key: string | null, value: Buffer | null, headers: Record<string, string> = {}): void {
    this.#append({ topic: topic.name, key, value, headers })
    this.#settle()
  }

  /** The state of a key, by collection and id. */
  state(processor: string, key: string): Readonly<Record<string, Readonly<Record<string, unknown>>>> {
    return this.#named(processor).core.state(key)
  }

  /** Records that the changelog holds, tombstones compacted away: how a test sees that nothing is left behind. */
  changelog(processor: string): readonly ChangelogRecord[] {
    return [...this.#named(processor).changelog].map(([key, value]) => ({ key, value }))
  }

  #newCore(processor: Processor): TaskCore {
    return new TaskCore({
      processor,
      codec: this.#codec,
      source: sourceOf(processor),
      task: 0,
      instanceId: 'test',
    })
  }

  #restored({ processor, changelog }: Driven): TaskCore {
    const core = this.#newCore(processor)
    for (const [key, value] of changelog) core.restore({ key, value })
    return core
  }

  #open(driven: Driven): void {
    const core = this.#restored(driven)
    driven.core = core
    driven.isLive = false
    if (core.needsReplay(0n)) {
      core.beginReplay(this.#inputsOf(driven))
      while (!core.forgetSome(1)) this.#commit(driven)
    }
    for (const topic of inputTopicsOf(driven.processor)) driven.next.set(topic, Number(core.position(topic) ?? 0n))
  }

  #inputsOf({ processor }: Driven): ReadonlyMap<string, { beginning: bigint; end: bigint }> {
    const end = (topic: string) => BigInt(this.#topics.get(topic)?.length ?? 0)
    return new Map(inputTopicsOf(processor).map((topic) => [topic, { beginning: 0n, end: end(topic) }]))
  }

  #historyOf({ processor }: Driven): History {
    const history = new History(processor, sourceOf(processor))
    for (const { topic } of processor.writes)
      for (const record of this.#topics.get(topic.name) ?? []) history.add(record)
    return history
  }

  #request(processor: string, command: OperatorRequest['command'], key = ''): void {
    const driven = this.#named(processor)
    const value = { command, key, atMs: this.#nowMs }
    driven.core.restore(toRecord({ kind: 'request', requestId: String(this.#piped++), value }, this.#codec, {}))
    this.#settle()
  }

  #fire(): void {
    for (const { core } of this.#driven) core.fireDue(this.#nowMs)
    this.#settle()
  }

  #named(name: string): Driven {
    const driven = this.#driven.find(({ processor }) => processor.name === name)
    if (driven === undefined) throw new BugError('PROCESSOR_UNKNOWN', `the driver does not run ${name}`)
    return driven
  }

  #ownerOf(effectId: string): Driven {
    const owner = this.#driven.find(({ core }) => core.effect(effectId) !== undefined)
    if (owner === undefined) throw new BugError('EFFECT_UNKNOWN', `no pending effect ${effectId}`)
    return owner
  }

  #append({
    topic,
    key,
    value,
    headers,
    partition,
  }: Omit<OutputRecord, 'key'> & { readonly key: string | null }): void {
    const records = this.#topics.get(topic) ?? []
    this.#topics.set(topic, records)
    const offset = BigInt(records.length)
    records.push({ topic, partition: partition ?? -1, offset, timestampMs: this.#nowMs, key, value, headers })
  }

  /** Returns whether it appended anything that somebody may have to fold. */
  #commit(driven: Driven): boolean {
    const batch = driven.core.takeBatch()
    driven.core.takeCancelled()
    driven.logged.push(...driven.core.takeNotes())
    for (const { key, value } of batch?.changelog ?? []) {
      if (value === null) driven.changelog.delete(key)
      else driven.changelog.set(key, value)
    }
    for (const output of batch?.outputs ?? []) this.#append(output)
    this.#raise(driven)
    return (batch?.outputs.length ?? 0) > 0
  }

  #raise({ core, processor }: Driven): void {
    const blocked = core.takeAlerts().find(({ kind }) => kind === 'blocked')
    if (blocked === undefined || !this.#throwsBlocked) return
    const { code, detail, key, facts } = blocked
    throw new BugError(code, detail, { facts: { processor: processor.name, key: key ?? '', ...facts } })
  }

  /** Folds and commits until nothing moves. */
  #settle(): void {
    for (let moved = true; moved; ) {
      moved = false
      for (const driven of this.#driven) {
        const { core } = driven
        if (core.needsHistory) core.remember(this.#historyOf(driven))
        core.serveRequests(this.#nowMs)
        for (const record of core.phase === 'held' ? [] : this.#unread(driven)) {
          core.fold(record, this.#nowMs)
          moved = true
        }
        core.endReplay(this.#nowMs)
        if (core.phase === 'live' && !driven.isLive) {
          driven.isLive = true
          moved = true
          core.goLive(this.#nowMs, () => false)
          core.runHook('opened', this.#nowMs)
        }
        core.fireDue(this.#nowMs)
        if (this.#commit(driven)) moved = true
      }
    }
  }

  #unread(driven: Driven): readonly LogRecord[] {
    const bootstrap = driven.processor.reads.filter((edge) => edge.bootstrap).map(({ topic }) => topic.name)
    const topics = new Set([...bootstrap, ...inputTopicsOf(driven.processor)])
    return [...topics].flatMap((topic) => {
      const records = this.#topics.get(topic) ?? []
      const next = driven.next.get(topic) ?? 0
      driven.next.set(topic, records.length)
      return records.slice(next)
    })
  }
}

const sourceOf = ({ name }: Processor): string => `/test/${name}`

export const testDriver = (processors: readonly Processor[], options?: TestDriverOptions): TestDriver =>
  new TestDriver(processors, options)
