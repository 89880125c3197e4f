import { NoAnswer, type RequestName } from '../memory-task-log.ts'
import type { FaultPlan } from './faults.ts'
import type { Notes } from './notes.ts'
import type { Random } from './random.ts'
import type { SimulatedProcess } from './simulated-process.ts'
import type { VirtualTime } from './virtual-time.ts'

/**
 * The way from a process to the broker and back, one request at a time, and everything that can happen on it: the process
 * dies before it has sent or after the broker has done it; the request is lost; the answer is lost; either takes longer
 * than the client waits, so that what it has given up on happens all the same.
 */
export interface NetworkSettings {
  readonly time: VirtualTime
  readonly random: Random
  readonly plan: FaultPlan
  readonly notes: Notes
  readonly crash: (process: SimulatedProcess, where: string) => void
}

/** As the engine's Kafka client has it. */
const REQUEST_TIMEOUT_MS = 4_500

export class Network {
  readonly #s: NetworkSettings
  #crashes = 0
  #noisy = true
  requests = 0

  constructor(settings: NetworkSettings) {
    this.#s = settings
  }

  /** From now on nothing goes wrong. */
  quieten(): void {
    this.#noisy = false
  }

  /** Time of one leg, ms. */
  leg(): number {
    const { random, plan } = this.#s
    if (this.#happens(plan.slowRate)) return random.pick([200, 1_000, 5_000])
    return random.between(0, plan.legMs * 2)
  }

  /** Whether a fault with this rate happens now. */
  #happens(rate: number): boolean {
    return this.#noisy && rate > 0 && this.#s.random.chance(rate)
  }

  repeats(): boolean {
    return this.#happens(this.#s.plan.duplicateRate)
  }

  request<T>(process: SimulatedProcess, name: RequestName | 'learn', execute: () => T): Promise<T> {
    const { time, notes } = this.#s
    this.requests += 1
    return new Promise((resolve, reject) => {
      if (this.#dies(process, `before ${name}`)) return
      const giveUp = time.after(REQUEST_TIMEOUT_MS, process, () => reject(new NoAnswer(name)))
      const lose = (what: string): void => {
        notes.note(`lost ${what}`, `${name} ${process.name}`)
        // Half of the time the connection breaks and the client knows at once.
        if (this.#s.random.chance(0.5)) time.after(this.leg(), process, () => reject(new NoAnswer(name)))
      }
      if (this.#happens(this.#s.plan.lossRate / 2)) return lose('request')
      time.after(this.leg(), null, () => {
        const answer = attempt(execute)
        if (this.#dies(process, `after ${name}`)) return
        if (this.#happens(this.#s.plan.lossRate)) return lose('answer')
        time.after(this.leg(), process, () => {
          giveUp()
          if (answer.ok) resolve(answer.value)
          else reject(answer.error)
        })
      })
    })
  }

  #dies(process: SimulatedProcess, where: string): boolean {
    const { plan, crash } = this.#s
    if (process.state === 'dead' || this.#crashes >= plan.mostCrashes || !this.#happens(plan.crashRate)) return false
    this.#crashes += 1
    crash(process, where)
    return true
  }
}

type Answer<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown }

const attempt = <T>(execute: () => T): Answer<T> => {
  try {
    return { ok: true, value: execute() }
  } catch (error) {
    return { ok: false, error }
  }
}
