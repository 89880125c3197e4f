import type { Scheduler } from '../../platform/clock.ts'
import type { TaskCore } from '../task/task-core.ts'
import type { Restorer } from './restorer.ts'
import type { SchemaPatience } from './schema-patience.ts'

/** How often a task that waits for an operator looks for what was decided, ms. */
export const OPERATOR_POLL_MS = 2_000

interface Settings {
  readonly clock: Scheduler
  readonly restorer: Restorer
  readonly patience: SchemaPatience
}

/** What operators decide about blocked keys and replays: they write it into the changelog, the task does it. */
export class OperatorRequests {
  readonly #s: Settings
  #lastPollMs = 0

  constructor(settings: Settings) {
    this.#s = settings
  }

  /** Goes on with what was too much for one batch; looks for new ones and does them, if the last look was long enough ago. */
  async poll(core: TaskCore): Promise<void> {
    if (core.hasRequests) return this.serve(core)
    const now = this.#s.clock.monotonicMs()
    if (now - this.#lastPollMs < OPERATOR_POLL_MS) return
    this.#lastPollMs = now
    await this.#s.restorer.readRequests(core)
    await this.serve(core)
  }

  /** Does those that were read. */
  async serve(core: TaskCore): Promise<void> {
    if (core.needsHistory) core.remember(await this.#s.restorer.readHistory())
    await this.#s.patience.learnKnown(core.unlearned())
    core.serveRequests(this.#s.clock.now())
  }
}
