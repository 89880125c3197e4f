import type { Scheduler } from '../../platform/clock.ts'
import { ReelstreamError } from '../../platform/errors.ts'
import type { Refusal } from '../task/dead-letter.ts'

/** How long a registry that answers may say that it knows no such schema, ms: registrations may take time to arrive. */
export const SCHEMA_PATIENCE_MS = 10_000

/**
 * What to do about a record whose schema id nobody has seen. It is learned, and the record tried again; while the registry
 * is away the task waits. A registry that is there and knows no such schema is believed after a while: then the record
 * is refused like any other that cannot be read, or one foreign producer could stop a partition for ever.
 */
export class SchemaPatience {
  readonly #learn: (schemaId: number) => Promise<void>
  readonly #clock: Pick<Scheduler, 'monotonicMs'>
  readonly #missingSinceMs = new Map<number, number>()

  constructor(learn: (schemaId: number) => Promise<void>, clock: Pick<Scheduler, 'monotonicMs'>) {
    this.#learn = learn
    this.#clock = clock
  }

  /** Does it, learning what is missing: an entry and what it holds may be of two schemas. Throws what the registry throws. */
  async learning(act: () => void): Promise<void> {
    for (let learned: number | null = null; ; ) {
      try {
        return act()
      } catch (error) {
        const schemaId = unlearnedId(error)
        if (schemaId === null || schemaId === learned) throw error
        await this.#learn(schemaId)
        learned = schemaId
      }
    }
  }

  /** Learns those of the schemas that the registry knows; the others stay unknown. Throws when it is away. */
  async learnKnown(schemaIds: Iterable<number>): Promise<void> {
    for (const schemaId of schemaIds) {
      try {
        await this.#learn(schemaId)
      } catch (failure) {
        if (unlearnedId(failure) === null) throw failure
      }
    }
  }

  /** After `error`: learns what it was about and does it again, or refuses. Throws what is not about a schema. */
  async recover(error: unknown, again: () => void, refuse: (refusal: Refusal) => void): Promise<void> {
    const schemaId = unlearnedId(error)
    if (schemaId === null) throw error
    const refusal = await this.learn(schemaId)
    if (refusal === null) again()
    else refuse(refusal)
  }

  /** Makes the schema known: null; or says why what was written with it is refused by now. Throws what may pass. */
  async learn(schemaId: number): Promise<Refusal | null> {
    try {
      await this.#learn(schemaId)
    } catch (failure) {
      if (unlearnedId(failure) === null || !this.#isGivenUp(schemaId)) throw failure
      return { code: 'SCHEMA_UNKNOWN', detail: (failure as ReelstreamError).message }
    }
    this.#missingSinceMs.delete(schemaId)
    return null
  }

  #isGivenUp(schemaId: number): boolean {
    const now = this.#clock.monotonicMs()
    const since = this.#missingSinceMs.get(schemaId) ?? now
    this.#missingSinceMs.set(schemaId, since)
    return now - since >= SCHEMA_PATIENCE_MS
  }
}

const unlearnedId = (error: unknown): number | null => {
  if (!(error instanceof ReelstreamError) || error.code !== 'SCHEMA_UNKNOWN') return null
  return typeof error.facts.schemaId === 'number' ? error.facts.schemaId : null
}
