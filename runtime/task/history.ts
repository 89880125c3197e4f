import { headerOf } from '../kafka/fetched-records.ts'
import type { LogRecord } from '../kafka/log-records.ts'
import type { Edge, Processor } from '../processor.ts'
import { effectIdOf, outputIdOf } from './step.ts'

/**
 * What a processor did before, read from the topics it writes: how a replay knows what it must not do again.
 *
 * Ids are derived from causes, so the same step done again would emit the same ids. An event whose id is in the log was
 * emitted; an effect whose reports or outcome made events that are there has come that far; a timer whose events are
 * there has fired. Which effects a step asked for is not in the log: every name that is declared is tried. Only what leaves
 * no event behind cannot be known, and is done again.
 *
 * A topic that forgets (retention) no longer says what it held. What a replay would emit there as of before its first
 * record is taken for done: the topic would have forgotten it, too.
 */
export class History {
  readonly #processor: Processor
  readonly #source: string
  readonly #ids = new Set<string>()
  /** What caused them: most steps that left nothing are known by that, without a search. */
  readonly #causes = new Set<string>()
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
    const cause = headerOf(record, 'causationid')
    if (cause !== undefined) this.#causes.add(cause)
  }

  emitted(outputId: string, topic: string, atMs: number): boolean {
    return this.#ids.has(outputId) || atMs < (this.#knownSinceMs.get(topic) ?? 0)
  }

  /** Whether the step of this identity, of this cause, emitted anything, itself or by what it asked for. */
  happened(identity: string, causeId: string): boolean {
    if (!this.#causes.has(causeId)) return false
    return this.#emitted(identity) || this.#emittedByAny(this.#settlingsBehind(identity, CHAIN + 1))
  }

  /** Whether the effect, of this cause, settled, itself or by an effect that its settling asked for. */
  settled(effectId: string, causeId: string): boolean {
    return this.#causes.has(causeId) && this.#emittedByAny(this.#settlingsOf(effectId))
  }

  /** Ids of the events of these edges that say that the effect settled: its own, or those of what its settling asked for. */
  settledAs(effectId: string, edges: readonly Edge[]): readonly string[] {
    const types = new Set(edges.flatMap(({ topic, events }) => events.map((event) => topic.events[event]?.name ?? '')))
    const found: string[] = []
    for (const identity of this.#settlingsOf(effectId)) {
      for (const type of types) found.push(...this.#emittedBy(identity, type))
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

  *#settlingsOf(effectId: string): Generator<string> {
    const identity = settlingOf(effectId)
    yield identity
    yield* this.#settlingsBehind(identity, CHAIN)
  }

  /** Identities of the steps in which effects settle that this step may have asked for, and those that they asked for. */
  *#settlingsBehind(identity: string, links: number): Generator<string> {
    if (links === 0) return
    const { name: processor, effects } = this.#processor
    for (const name of Object.keys(effects)) {
      for (let n = 0; n < ALIKE; n++) {
        const settling = settlingOf(effectIdOf(processor, identity, name, n))
        yield settling
        if (n === 0) yield* this.#settlingsBehind(settling, links - 1)
      }
    }
  }

  #emittedByAny(identities: Iterable<string>): boolean {
    for (const identity of identities) if (this.#emitted(identity)) return true
    return false
  }

  #emitted(identity: string): boolean {
    const { name, writes } = this.#processor
    return writes.some(({ topic, events }) =>
      events.some((event) => this.#ids.has(outputIdOf(name, identity, topic.events[event]?.name ?? '', 0))),
    )
  }
}

const settlingOf = (effectId: string): string => `effect/${effectId}/settled`

/** An effect that settles into another one, which settles into another one: as long as that is followed. */
const CHAIN = 3
/** So many effects of one name that one step asked for are looked at. Only the first of a name is followed further. */
const ALIKE = 4
