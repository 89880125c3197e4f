import type { LiveEffect } from '../task/effect-ledger.ts'

export interface PendingEffects {
  readonly effect: string
  readonly pending: number
  /** For how long the first of them has been waiting, ms; 0 when none of them says when it was asked for. */
  readonly oldestMs: number
}

/** Effects that have not settled, by name. */
export const pendingByName = (effects: readonly LiveEffect[], nowMs: number): readonly PendingEffects[] =>
  [...Map.groupBy(effects, ({ record }) => record.effect)].map(([effect, pending]) => {
    // Those of an earlier release do not say (0). Clocks differ: another process's may be ahead of ours.
    const askedAtMs = pending.map(({ record }) => record.askedAtMs).filter((atMs) => atMs > 0)
    const oldestMs = askedAtMs.length === 0 ? 0 : Math.max(0, nowMs - Math.min(...askedAtMs))
    return { effect, pending: pending.length, oldestMs }
  })
