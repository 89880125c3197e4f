import type { Note, Step } from './step.ts'

/** A line that a handler has written, and whose step it was. */
export interface KeptNote extends Note {
  readonly key: string
  /** ce_id of the record, or of the record that first caused the effect or timer. */
  readonly eventId: string
}

/** What handlers wrote for the log since the last batch. */
export class StepNotes {
  #notes: KeptNote[] = []

  get size(): number {
    return this.#notes.length
  }

  keep({ origin, notes }: Step): void {
    for (const note of notes) this.#notes.push({ ...note, key: origin.key, eventId: origin.causeId })
  }

  take(): readonly KeptNote[] {
    if (this.#notes.length === 0) return this.#notes
    const notes = this.#notes
    this.#notes = []
    return notes
  }
}
