import { setTimeout as delay } from 'node:timers/promises'
import type { Outcome, Stage } from '../trial.ts'

/** One kind of fault, done some times to a trial of its own. */
export interface Scenario {
  readonly name: string
  /** What is done, for the report. */
  readonly title: string
  /** How often the long run does it, and the short one; 0 = not at all. */
  readonly times: { readonly long: number; readonly short: number }
  /** Whether it hits the brokers, and so every trial that runs beside it. */
  readonly hitsEverybody?: true
  run(stage: Stage, times: number): Promise<Finding>
}

export interface Finding extends Outcome {
  /** What else was seen, in a few words each. */
  readonly notes: readonly string[]
}

/** Lets a moment pass that nobody chose: this is no waiting for something, it is the fault's own time. */
export const anyMoment = (minMs: number, maxMs: number): Promise<void> =>
  delay(minMs + Math.random() * (maxMs - minMs)).then(() => undefined)
