import { TASK_LIMITS, type TaskLimits } from '../../run/limits.ts'
import type { Random } from './random.ts'

/**
 * What goes wrong in one schedule. Rates are per request, drawn once per schedule, so that some schedules are calm enough
 * for long sequences and others are storms; sudden events are spread over the noisy part. After `quietAtMs` nothing goes
 * wrong any more, and everything that was begun must end.
 */
export interface FaultPlan {
  /** How long the schedule is noisy, ms from its start. */
  readonly quietAtMs: number
  /** Probability that the process dies at a request: before it is sent, or after it was carried out. */
  readonly crashRate: number
  /** Deaths at requests, at most: five in succession without a report would settle a harmless effect as CRASHED. */
  readonly mostCrashes: number
  /** Probability that a request, or its answer, gets lost. */
  readonly lossRate: number
  /** Probability that a request, or its answer, takes seconds. */
  readonly slowRate: number
  /** Probability that a fetch hands out again what was handed out before. */
  readonly duplicateRate: number
  /** Typical time of one leg, ms. */
  readonly legMs: number
  readonly sessionTimeoutMs: number
  /** Records that one fetch brings, at most. */
  readonly fetchRecords: number
  readonly limits: TaskLimits
  /** Whether the first process that begins a replay dies while it is at it. */
  readonly killsReplay: boolean
  readonly sudden: readonly SuddenFault[]
}

export type SuddenFault = { readonly atMs: number; readonly kind: SuddenKind }
/**
 * `forget`: a changelog is lost; `gap`: its first half; half of the time whoever has the task is fenced, too. `deploy`: processors of the next version, in one process after
 * the other.
 */
export type SuddenKind = 'stop' | 'storm' | 'expel' | 'restart' | 'kill' | 'compact' | 'forget' | 'gap' | 'deploy'

export const CALM: FaultPlan = {
  quietAtMs: 0,
  crashRate: 0,
  mostCrashes: 0,
  lossRate: 0,
  slowRate: 0,
  duplicateRate: 0,
  legMs: 2,
  sessionTimeoutMs: 3_000,
  fetchRecords: 3,
  limits: TASK_LIMITS,
  killsReplay: false,
  sudden: [],
}

/** So small that the few events of a schedule meet them. */
const TINY: TaskLimits = {
  mailbox: { high: { messages: 2, bytes: 1_000 }, low: { messages: 1, bytes: 100 } },
  batchRecords: 3,
  batchBytes: 200,
  slice: 2,
  positionAloneAfter: 2,
}

/** So that to forget a memory takes as many commits as it has entries, and a process can die between any two. */
const ONE_BY_ONE: TaskLimits = { ...TASK_LIMITS, batchRecords: 1 }

/** Below the crash limit of the engine, with one death left for a sudden kill. */
const MOST_CRASHES = 3

export const drawFaults = (random: Random): FaultPlan => {
  const quietAtMs = random.between(2_000, 8_000)
  const killsReplay = random.chance(0.25)
  const some = (kind: SuddenKind, most: number): SuddenFault[] =>
    Array.from({ length: random.between(0, most) }, () => ({ kind, atMs: random.between(0, quietAtMs) }))
  return {
    quietAtMs,
    crashRate: random.pick([0, 0.01, 0.03]),
    mostCrashes: MOST_CRASHES,
    lossRate: random.pick([0, 0.01, 0.03, 0.08]),
    slowRate: random.pick([0, 0, 0.01, 0.03]),
    duplicateRate: random.pick([0, 0.2]),
    legMs: random.pick([1, 1, 5, 20]),
    sessionTimeoutMs: random.pick([300, 1_000, 3_000]),
    fetchRecords: random.pick([1, 3, 3, 20]),
    limits: killsReplay ? ONE_BY_ONE : random.pick([TASK_LIMITS, TASK_LIMITS, TINY]),
    killsReplay,
    sudden: [
      ...some('stop', 2),
      ...some('storm', 2),
      ...some('expel', 1),
      ...some('restart', 1),
      ...some('kill', 1),
      ...some('compact', 2),
      ...some('forget', random.pick([0, 1])),
      ...some('gap', random.pick([0, 1])),
      ...some('deploy', 1),
    ],
  }
}
