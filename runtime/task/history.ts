import { deriveId } from '../../platform/ids.ts'
import { headerOf } from '../kafka/fetched-records.ts'
import type { LogRecord } from '../kafka/log-records.ts'
import type { Edge, Processor } from '../processor.ts'
import { outputIdOf } from './step.ts'

/**
 * What a processor did before, read from the topics it writes: how a replay knows what it must not do again.
 *
 * Ids are derived from causes, so the same step done again would emit the same ids. An event whose id is in the log was
 * emitted; an effect whose reports or outcome made events that are there has come that far; a timer whose events are
 * there has fired. Only what leaves no event behind cannot be known, and is done again.
 *
 * A topic that forgets (retention) no longer says what it held. What a replay would emit there as of before its first
 * record is taken for done: the topic would have forgotten it, too.
 */
export class History {
  readonly #processor: Processor
  readonly #source: string
  readonly #ids = new Set<string>()
  readonly #knownSinceMs = new Map<string, number>()

  constructor(processor: Processor, source: string) {
    this.#processor = processor
    this.#source = source
  }

  /** Takes a record of an output topic. `isFirst`: nothing before it is in its partition, though something was. */
  add(record: LogRecord, isFirst = false): void {
    const { topic, timestampMs } = record
    if (isFirst) this.#knownSinceMs.set(topic, Math.max(timestampMs, this.#knownSinceMs.get(topic) ?? 0))
    if (headerOf(record, 'ce_source') !== this.#source) return
    const id = headerOf(record, 'ce_id')
    if (id !== undefined) this.#ids.add(id)
  }

  emitted(outputId: string, topic: string, atMs: number): boolean {
    return this.#ids.has(outputId) || atMs < (this.#knownSinceMs.get(topic) ?? 0)
  }

  /** Whether the step of this identity emitted anything, itself or by what it asked for. */
  happened(identity: string): boolean {
    return this.#emitted(identity) || this.#finished(this.#effectOf(identity), CHAIN)
  }

  /** Whether the effect settled, itself or by an effect that its settling asked for. */
  settled(effectId: string): boolean {
    return this.#finished(effectId, CHAIN)
  }

  /** Ids of the events of these edges that say that the effect settled: its own, or those of what its settling asked for. */
  settledAs(effectId: string, edges: readonly Edge[]): readonly string[] {
    const types = new Set(edges.flatMap(({ topic, events }) => events.map((event) => topic.events[event]?.name ?? '')))
    const found: string[] = []
    for (let id = effectId, chain = 0; chain <= CHAIN; chain++) {
      const identity = `effect/${id}/settled`
      for (const type of types) found.push(...this.#emittedBy(identity, type))
      id = this.#effectOf(identity)
    }
    return found
  }

  *#emittedBy(identity: string, type: string): Generator<string> {
    for (let n = 0; ; n++) {
      const id = outputIdOf(this.#processor.name, identity, type, n)
      if (!this.#ids.has(id)) return
      yield id
    }
  }

  /** Number of the last report that became an event, without a gap from 1. 0 = none. */
  reports(effectId: string): number {
    let n = 0
    while (this.#emitted(`effect/${effectId}/${n + 1}`)) n += 1
    return n
  }

  #finished(effectId: string, chain: number): boolean {
    const identity = `effect/${effectId}/settled`
    return this.#emitted(identity) || (chain > 0 && this.#finished(this.#effectOf(identity), chain - 1))
  }

  #effectOf(identity: string): string {
    return deriveId(this.#processor.name, identity, 'effect', 0)
  }

  #emitted(identity: string): boolean {
    const { name, writes } = this.#processor
    return writes.some(({ topic, events }) =>
      events.some((event) => this.#ids.has(outputIdOf(name, identity, topic.events[event]?.name ?? '', 0))),
    )
  }
}

/** An effect that settles into another one, which settles into another one: as long as that is followed. */
const CHAIN = 3
