import type { Scheduler } from '../../../platform/clock.ts'
import type { Random } from './random.ts'
import type { Owner, VirtualTime } from './virtual-time.ts'

/** One process of the schedule: it can be killed, or stopped and continued, between any two events. */
export class SimulatedProcess implements Owner {
  readonly name: string
  readonly clock: Scheduler
  /** Everything that ran in it was asked to end, and did. */
  endedGracefully = false
  readonly #time: VirtualTime
  #state: 'running' | 'stopped' | 'dead' = 'running'

  constructor(name: string, time: VirtualTime, random: Random) {
    this.name = name
    this.#time = time
    this.clock = {
      now: () => time.nowMs,
      monotonicMs: () => time.nowMs,
      after: (delayMs, act) => time.after(delayMs, this, act),
      nextTurn: () => new Promise((resolve) => void time.after(0, this, resolve)),
      random: () => random.next(),
    }
  }

  get state(): 'running' | 'stopped' | 'dead' {
    return this.#state
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#time.after(ms, this, resolve))
  }

  /** SIGKILL: nothing of it ever happens again. What it has sent is on its way. */
  kill(): void {
    this.#state = 'dead'
  }

  /** SIGSTOP. */
  stop(): void {
    if (this.#state === 'running') this.#state = 'stopped'
  }

  /** SIGCONT. */
  goOn(): void {
    if (this.#state !== 'stopped') return
    this.#state = 'running'
    this.#time.release(this)
  }
}
