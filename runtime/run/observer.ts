import type { TraceContext } from '../../platform/trace-context.ts'

/**
 * What the engine says of its work while it does it: for metrics, a bench, a test. Called in the run loop, so an observer
 * takes note and returns; what it throws would be an error of the task.
 */
export interface EngineObserver {
  /** A batch is in the log: ms from its sending, and the records that it held, outputs and changelog. */
  committed(processor: string, task: number, durationMs: number, records: number): void
  /** A task has rebuilt its memory from so many changelog entries. */
  restored(processor: string, task: number, durationMs: number, entries: number): void
  /** A task was discarded and opens again. The code says why; FENCED: another process had taken it over. */
  reopened(processor: string, task: number, code: string): void
  /** A run of an effect has ended in this process. */
  ran(run: EndedRun): void
  /** An input was set aside: its key is blocked, or the record is in the dead letters. */
  setAside(processor: string, where: 'blocked' | 'dead-letter', code: string): void
}

/** `aborted`: cancelled, or the process gave its task up. */
export type RunEnd = 'settled' | 'failed' | 'aborted'

export interface EndedRun {
  readonly processor: string
  readonly effect: string
  readonly effectId: string
  /** Which run it was, from 1, over crashes and retries. */
  readonly attempt: number
  readonly end: RunEnd
  /** Why it failed; null unless it did. */
  readonly code: string | null
  readonly startedAtMs: number
  readonly durationMs: number
  /** Null: what asked for the effect belongs to no trace. */
  readonly span: (TraceContext & { readonly parentSpanId: string }) | null
}

export const unobserved: EngineObserver = {
  committed: () => undefined,
  restored: () => undefined,
  reopened: () => undefined,
  ran: () => undefined,
  setAside: () => undefined,
}
