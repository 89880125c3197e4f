import { CRASH_LIMIT } from '../../effect-policy.ts'
import type { EffectRun } from '../../run/executors.ts'
import { INTERRUPT_GRACE_MS } from '../../run/open-task.ts'
import { BILLERS } from './billing.ts'
import { PACKERS, type Piece } from './packing.ts'
import type { SimulatedProcess } from './simulated-process.ts'

/**
 * What the world outside the log sees of effects: every run that began, where, and whether it was allowed to. Kept by the
 * schedule, not by any process, so it survives what they do not.
 */
interface Began {
  readonly effect: string
  readonly job: string
  readonly run: EffectRun<Piece>
  readonly process: SimulatedProcess
}

const AT_ONCE: Readonly<Record<string, number>> = { pack: PACKERS, bill: BILLERS }
/** Their task may have lost its changelog: it counts their runs from the beginning again, and asks for others. */
const FORGETTABLE = ['bill', 'part', 'thank']

export class Journal {
  readonly violations: string[] = []
  readonly #ids = new Map<string, string>()
  readonly #attempts = new Set<string>()
  readonly #running = new Set<Began>()
  /** When those that are running were aborted, ms. */
  readonly #abortedAtMs = new Map<Began, number>()
  /** Where runs of a job have begun since something of it was last reported. */
  readonly #began = new Map<string, SimulatedProcess[]>()
  /** Deaths of processes, and takeovers from living ones, that no effect is to blame for. */
  #accidents = 0
  runs = 0

  /** Returns what to call when the run has ended. */
  began(began: Began): () => void {
    const { job, run, process, effect } = began
    this.runs += 1
    const id = this.#ids.get(job) ?? run.effectId
    this.#ids.set(job, id)
    if (id !== run.effectId) this.contradicts(job, `is effect ${id} and effect ${run.effectId}`)
    const attempt = `${run.effectId}/${run.attempt}`
    const isForgotten = FORGETTABLE.includes(effect)
    if (!isForgotten && this.#attempts.has(attempt)) this.contradicts(job, `attempt ${run.attempt} began twice`)
    this.#attempts.add(attempt)
    const beside = [...this.#running].filter(
      (other) => other.process === process && other.effect === effect && !this.#isGivenUp(other),
    )
    if (beside.length >= (AT_ONCE[effect] ?? 1)) this.contradicts(job, 'runs beside too many others')
    if (!isForgotten && beside.some((other) => other.run.key === run.key)) {
      this.contradicts(job, 'runs beside another of its key')
    }
    this.#running.add(began)
    this.#began.set(job, [...(this.#began.get(job) ?? []), process])
    run.signal.addEventListener('abort', () => this.#abortedAtMs.set(began, process.clock.now()), { once: true })
    return () => {
      this.#running.delete(began)
      this.#abortedAtMs.delete(began)
    }
  }

  /** No one waits for ever for a run that was aborted: one in a process that was stopped meanwhile may still be there. */
  #isGivenUp(run: Began): boolean {
    const abortedAtMs = this.#abortedAtMs.get(run)
    return abortedAtMs !== undefined && run.process.clock.now() - abortedAtMs >= INTERRUPT_GRACE_MS
  }

  reported(job: string): void {
    this.#began.delete(job)
  }

  /** A process was killed, or lost its tasks while it was stopped. */
  hadAccident(): void {
    this.#accidents += 1
  }

  /**
   * Whether so many runs in succession died with their process that the job counts as the killer. The engine has to count
   * more than can be seen from here: a run that had ended but whose outcome was not committed, and one that never began
   * because of an accident right after the commit which says that it begins. So each accident may be one of them.
   */
  mayBeKiller(job: string): boolean {
    const deaths = (this.#began.get(job) ?? []).filter(
      ({ endedGracefully, state }) => state === 'dead' && !endedGracefully,
    )
    return deaths.length + this.#accidents >= CRASH_LIMIT
  }

  contradicts(job: string, what: string): void {
    this.violations.push(`effect of ${job}: ${what}`)
  }
}
