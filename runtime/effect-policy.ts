import type { AvroSchema } from './codec/avro.ts'
import type { EffectDeclaration } from './processor.ts'

/** How often, how long and how many at once: the policy is declared on the effect, never coded in a handler. */
export interface EffectPolicy {
  /** Runs that may end in a retryable error before the effect settles with that error's code. 1 … */
  readonly attempts: number
  /** Wait before the run that follows failure n (1-based), milliseconds. */
  readonly backoffMs: (failure: number) => number
  /** A run is aborted after this long and counts as a retryable failure (EFFECT_TIMEOUT). Null = no limit. */
  readonly timeoutMs: number | null
  /** Runs at the same time in one process, over all tasks. */
  readonly concurrency: number
  /** One run at a time per key, in the order they were performed. */
  readonly serialPerKey: boolean
}

/** Runs that end in the death of their process, with nothing reported since, before the input counts as the killer. */
export const CRASH_LIMIT = 5

/** After so many of them the input is a suspect, and runs beside no other suspect (run/executors.ts, EffectSlots). */
export const SUSPECT_AFTER = 2

/** Doubles from `first` up to `most`, milliseconds. Deterministic: spreading is left to whoever runs the effects. */
export const exponential =
  (firstMs: number, mostMs: number) =>
  (failure: number): number =>
    Math.min(mostMs, firstMs * 2 ** (failure - 1))

interface EffectOptions<Input, Result, Report> extends Partial<EffectPolicy> {
  readonly input: AvroSchema<Input>
  readonly outcome: AvroSchema<Result>
  readonly report?: AvroSchema<Report>
  readonly reads?: readonly string[]
}

/** Declares an effect. Defaults: 5 attempts, 1 s … 1 min back-off, 1 minute, 4 at once, serial per key. */
export const effect = <Input, Result, Report = never>(
  options: EffectOptions<Input, Result, Report>,
): EffectDeclaration<Input, Result, Report> => ({
  input: options.input,
  outcome: options.outcome,
  report: options.report ?? null,
  reads: options.reads ?? [],
  policy: {
    attempts: options.attempts ?? 5,
    backoffMs: options.backoffMs ?? exponential(1_000, 60_000),
    timeoutMs: options.timeoutMs === undefined ? 60_000 : options.timeoutMs,
    concurrency: options.concurrency ?? 4,
    serialPerKey: options.serialPerKey ?? true,
  },
})
