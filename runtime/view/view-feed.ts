import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { systemClock } from '../../platform/clock.ts'
import {
  BadInputError,
  ConfigError,
  describeError,
  isRetryable,
  ReelstreamError,
  UpstreamError,
} from '../../platform/errors.ts'
import type { AvroSchema } from '../codec/avro.ts'
import { headerOf } from '../kafka/fetched-records.ts'
import type { LogRecord } from '../kafka/log-records.ts'
import type { TopicRef } from '../processor.ts'
import { SchemaPatience } from '../run/schema-patience.ts'
import type { ViewDeclaration, ViewTools } from './view.ts'

interface Route<V> {
  readonly schema: AvroSchema<unknown>
  readonly apply: (before: V | undefined, event: unknown) => V | undefined
}

const MAX_ENTRIES = 100_000
/** Records between two looks at the rest of the process. */
const SLICE = 500
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 5_000

/** The table of a view, and the loops that feed it: one per partition, each from where it stands. */
export class ViewFeed<V> {
  readonly table = new Map<string, V>()
  failure: ReelstreamError | null = null
  readonly #topic: string
  readonly #maxEntries: number
  /** By full record name, the events that are folded. */
  readonly #routes: ReadonlyMap<string, Route<V>>
  readonly #tools: ViewTools
  readonly #patience: SchemaPatience
  readonly #positions = new Map<number, bigint>()
  readonly #stop = new AbortController()
  readonly #loops: Promise<void>[] = []
  readonly #waiting = new Set<() => void>()
  #closed = false

  constructor({ topic, fold, maxEntries }: ViewDeclaration<TopicRef, V>, tools: ViewTools) {
    this.#topic = topic.name
    this.#maxEntries = maxEntries ?? MAX_ENTRIES
    this.#tools = tools
    this.#patience = new SchemaPatience(tools.learn, tools.clock ?? systemClock)
    this.#routes = new Map(
      Object.entries(topic.events).flatMap(([event, schema]) => {
        // Called with what `schema` reads, which is what the declaration types it with.
        const apply = fold[event] as Route<V>['apply'] | undefined
        return apply === undefined ? [] : [[schema.name, { schema, apply }] as const]
      }),
    )
  }

  get isClosed(): boolean {
    return this.#closed
  }

  position(partition: number): bigint {
    return this.#positions.get(partition) ?? 0n
  }

  follow(partition: number, from: bigint): void {
    this.#positions.set(partition, from)
    this.#loops.push(this.#run(partition))
  }

  async until(holds: () => boolean, signal?: AbortSignal): Promise<void> {
    while (!this.#isReached(holds, signal)) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const wake = () => resolve()
      this.#waiting.add(wake)
      signal?.addEventListener('abort', wake)
      await promise
      this.#waiting.delete(wake)
      signal?.removeEventListener('abort', wake)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#end()
    await Promise.all(this.#loops)
  }

  #isReached(holds: () => boolean, signal?: AbortSignal): boolean {
    signal?.throwIfAborted()
    if (holds()) return true
    if (this.failure !== null) throw this.failure
    if (this.#closed)
      throw new UpstreamError('VIEW_CLOSED', `A view of ${this.#topic} was closed`, { retryable: false })
    return false
  }

  #end(): void {
    this.#stop.abort()
    this.#wake()
  }

  #wake(): void {
    for (const wake of this.#waiting) wake()
  }

  async #run(partition: number): Promise<void> {
    const { reader, log } = this.#tools
    const { signal } = this.#stop
    for (let pauseMs = FIRST_PAUSE_MS; !signal.aborted; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      try {
        for await (const batch of reader.tail(this.#topic, partition, this.position(partition), signal)) {
          await this.#foldAll(batch.records)
          this.#positions.set(partition, batch.nextOffset)
          pauseMs = FIRST_PAUSE_MS
          this.#wake()
        }
      } catch (error) {
        if (signal.aborted) return
        if (!isRetryable(error)) return this.#fail(this.#failureOf(error, partition))
        log.warn({ err: error, topic: this.#topic, partition }, 'view cannot read on, trying again')
        await sleep(pauseMs * (0.5 + Math.random()), undefined, { signal }).catch(() => {}) // ended early
      }
    }
  }

  #fail(failure: ReelstreamError): void {
    this.failure ??= failure
    this.#tools.log.error({ err: failure, ...failure.facts }, 'view follows no longer')
    this.#end()
  }

  /** The position moves record by record: what was folded is not folded again when the next one has to wait. */
  async #foldAll(records: readonly LogRecord[]): Promise<void> {
    for (const [n, record] of records.entries()) {
      try {
        await this.#fold(record)
      } catch (error) {
        throw isRetryable(error) ? error : this.#failureOf(error, record.partition, record.offset)
      }
      this.#positions.set(record.partition, record.offset + 1n)
      if (n % SLICE === SLICE - 1) await nextTurn()
    }
  }

  async #fold(record: LogRecord): Promise<void> {
    const { key, value } = record
    if (key === null) return
    if (value === null) return void this.table.delete(key)
    const route = await this.#routeOf(record, value)
    if (route === undefined) return
    const after = route.apply(this.table.get(key), this.#tools.codec.decode(route.schema, value))
    if (after === undefined) this.table.delete(key)
    else if (this.table.size < this.#maxEntries || this.table.has(key)) this.table.set(key, after)
    else throw this.#full()
  }

  /** A record without `ce_type` is known by the schema that wrote it. What is not folded need not be learned. */
  async #routeOf(record: LogRecord, value: Buffer): Promise<Route<V> | undefined> {
    const { codec } = this.#tools
    const said = headerOf(record, 'ce_type')
    if (said !== undefined && !this.#routes.has(said)) return undefined
    const schemaId = codec.schemaId(value)
    if (schemaId !== undefined && !codec.knows(schemaId)) await this.#learn(schemaId)
    const type = said ?? codec.writerName(value)
    if (type === undefined) throw new BadInputError('UNDECODABLE', 'neither a header nor a schema id says what it is')
    return this.#routes.get(type)
  }

  async #learn(schemaId: number): Promise<void> {
    const refusal = await this.#patience.learn(schemaId)
    if (refusal !== null) throw new BadInputError(refusal.code, refusal.detail, { facts: { schemaId } })
  }

  #full(): ConfigError {
    const facts = { topic: this.#topic, maxEntries: this.#maxEntries }
    return new ConfigError(
      'VIEW_FULL',
      `A view of ${this.#topic} holds ${this.#maxEntries} entries: raise maxEntries`,
      {
        facts,
      },
    )
  }

  #failureOf(cause: unknown, partition: number, offset = this.position(partition)): ReelstreamError {
    if (cause instanceof ReelstreamError && (cause.code === 'VIEW_FULL' || cause.code === 'VIEW_FAILED')) return cause
    const place = `${this.#topic}/${partition}/${offset}`
    return new UpstreamError('VIEW_FAILED', `A view cannot go on behind ${place}: ${describeError(cause)}`, {
      cause,
      facts: { topic: this.#topic, partition, offset: String(offset) },
      retryable: false,
    })
  }
}
