import { setImmediate as afterOtherWork } from 'node:timers/promises'

/** Time as an argument. `now` is wall-clock milliseconds since 1970-01-01T00:00:00Z. */
export interface Clock {
  now(): number
}

/**
 * Everything by which a loop depends on when it runs: both clocks, timers, turns and dice. The process has one of them;
 * a simulation has another, in which time passes only when it says so and each wake-up is its own choice.
 */
export interface Scheduler extends Clock {
  /** Milliseconds since some moment; never goes back, unlike `now`. For distances, not for dates. */
  monotonicMs(): number
  /** Calls `act` once, `delayMs` (0 … 2^31-1) from now, unless the returned function was called before. */
  after(delayMs: number, act: () => void): () => void
  /** Resolves when everything else that is ready has had its turn: how a long loop shares its thread. */
  nextTurn(): Promise<void>
  /** In [0, 1), for spreading what would otherwise happen at once. Not for ids, not for secrets. */
  random(): number
}

export const systemClock: Scheduler = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (delayMs, act) => {
    const timer = setTimeout(act, delayMs)
    return () => clearTimeout(timer)
  },
  nextTurn: () => afterOtherWork(),
  random: () => Math.random(),
}
