import type { LogRecord } from '../kafka/log-records.ts'
import { brief, deadLetterOf, type Refusal } from './dead-letter.ts'
import type { Journal } from './journal.ts'
import { type Input, toQueued } from './queued-inputs.ts'
import type { StepSettings } from './step.ts'
import type { TaskMemory } from './task-memory.ts'

/** Something that an operator should know of. */
export interface Alert extends Refusal {
  readonly kind: 'blocked' | 'dead-letter'
  readonly key: string | null
  readonly facts: Readonly<Record<string, string | number>>
}

/** What becomes of inputs that cannot be folded (docs/adr/0015): they wait with their key, or are dead letters. */
export class Failures {
  readonly #settings: StepSettings
  readonly #memory: TaskMemory
  readonly #journal: Journal
  #alerts: Alert[] = []

  constructor(settings: StepSettings, memory: TaskMemory, journal: Journal) {
    this.#settings = settings
    this.#memory = memory
    this.#journal = journal
  }

  /** The input waits, and from now on everything of its key behind it. */
  blockWith(input: Input, key: string, refusal: Refusal, nowMs: number): void {
    this.enqueue(input, key, nowMs)
    if (!this.#memory.blocked.has(key)) this.block(key, refusal, nowMs, factsOf(input))
  }

  block(key: string, refusal: Refusal, nowMs: number, facts: Alert['facts']): void {
    const { code, detail } = brief(refusal)
    const value = { code, detail, atMs: nowMs }
    this.#memory.blocked.block(key, value)
    this.#journal.write({ kind: 'blocked', key, value })
    this.#alerts.push({ kind: 'blocked', code, detail, key, facts })
  }

  unblock(key: string): void {
    this.#memory.blocked.unblock(key)
    this.#journal.write({ kind: 'blocked', key, value: null })
  }

  enqueue(input: Input, key: string, nowMs: number): void {
    const { effects, replay, blocked, pieces } = this.#memory
    const value = { ...toQueued(input, nowMs, effects, this.#settings), replayed: replay !== null }
    const sequence = blocked.enqueue(key, value)
    const record = this.#journal.recordOf({ kind: 'queued', key, sequence, value })
    for (const piece of pieces.cut(record)) this.#journal.put(piece)
  }

  dequeue(key: string, sequence: number): void {
    const { blocked, pieces } = this.#memory
    blocked.remove(key, sequence)
    const gone = this.#journal.recordOf({ kind: 'queued', key, sequence, value: null })
    for (const record of [gone, ...pieces.remove(gone.key)]) this.#journal.put(record)
  }

  /** The record becomes a dead letter: nothing waits for it. `rejection`: why the log has refused the letter. */
  bury(record: LogRecord, why: Refusal, rejection: Refusal | null = null): void {
    const refusal = brief(rejection ?? why)
    this.#journal.emit(deadLetterOf(record, refusal, this.#settings.processor, rejection === null))
    this.#alerts.push({ kind: 'dead-letter', ...refusal, key: record.key, facts: factsOf({ kind: 'record', record }) })
  }

  /** What went wrong since the last call. */
  takeAlerts(): readonly Alert[] {
    const alerts = this.#alerts
    this.#alerts = []
    return alerts
  }
}

const factsOf = (input: Input): Alert['facts'] => {
  switch (input.kind) {
    case 'record': {
      const { topic, partition, offset } = input.record
      return { topic, partition, offset: String(offset) }
    }
    case 'timer':
      return { timer: input.name }
    case 'report':
      return { effectId: input.effectId, report: input.n }
    case 'outcome':
      return { effectId: input.effectId }
  }
}
