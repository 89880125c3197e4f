import type { Scheduler } from '../../platform/clock.ts'
import { isRetryable } from '../../platform/errors.ts'
import type { Logger } from '../../platform/log.ts'
import type { TaskCore } from '../task/task-core.ts'
import type { EffectMessage } from './effect-runs.ts'
import { FoldedInputs } from './folded-inputs.ts'
import type { TaskLimits } from './limits.ts'
import { isEffectMessage, type Mailbox, type Message } from './mailbox.ts'
import { backoffMs } from './reopening.ts'
import type { SchemaPatience } from './schema-patience.ts'

interface Settings {
  readonly mailbox: Mailbox
  readonly patience: SchemaPatience
  readonly limits: TaskLimits
  readonly clock: Scheduler
  readonly log: Logger
}

/**
 * Folds what waits in the mailbox into the core, in slices and up to a batch, and keeps what the batch is made of until
 * the group commit takes it.
 */
export class Folding {
  readonly #s: Settings
  readonly #mailbox: Mailbox
  readonly #limits: TaskLimits
  readonly #clock: Scheduler
  /** Folded since the last batch was taken. */
  #inputs = new FoldedInputs()
  /** Inputs that were passed over since the last batch: the position has moved, and nothing else. */
  #skipped = 0
  /** What effects said while the task replays its inputs: they may be asked for again only later in it. */
  #early: EffectMessage[] = []
  /** The first message in the mailbox is of a schema that cannot be learned at the moment. */
  #unlearned: { readonly failures: number; readonly againAtMs: number } | null = null

  constructor(settings: Settings) {
    this.#s = settings
    this.#mailbox = settings.mailbox
    this.#limits = settings.limits
    this.#clock = settings.clock
  }

  /** Inputs folded since the last batch was taken. */
  get count(): number {
    return this.#inputs.count
  }

  /** Inputs passed over since the last batch was taken. */
  get skipped(): number {
    return this.#skipped
  }

  get isAwaitingSchema(): boolean {
    return this.#unlearned !== null
  }

  /** How long until the schema is asked for again, ms; 0 or less: it is time. Null: none is awaited. */
  untilSchemaMs(): number | null {
    return this.#unlearned === null ? null : this.#unlearned.againAtMs - this.#clock.monotonicMs()
  }

  isBatchFull(core: TaskCore): boolean {
    const { batchRecords, batchBytes, positionAloneAfter } = this.#limits
    return (
      core.pendingRecords >= batchRecords ||
      core.pendingBytes >= batchBytes ||
      this.#skipped >= positionAloneAfter ||
      !core.hasRoom
    )
  }

  async foldSlice(core: TaskCore): Promise<void> {
    for (let n = 0; n < this.#limits.slice && !core.isFull && !this.isBatchFull(core); n++) {
      const message = this.#mailbox.first
      if (message === undefined) break
      if (core.phase !== 'live' && isEffectMessage(message)) {
        this.#early.push(message)
        this.#mailbox.shift()
        continue
      }
      if (message.kind === 'record' && !core.advanceTo(message.record)) break
      const folding = this.fold(core, message)
      if (folding !== undefined && !(await this.#isLearned(folding))) return
      this.#mailbox.shift()
    }
    this.#mailbox.refill()
  }

  /**
   * What effects say need not wait for the records that are before it in the mailbox. It must not: a report that is not
   * committed holds up its run, an end its slot, and slots are shared with the tasks that do flow. Up to a batch.
   */
  foldEffectMessages(core: TaskCore): void {
    this.#foldFirst(core, this.#mailbox.effectMessages(), () => this.isBatchFull(core))
  }

  /** All of them, for the last batch of a task. */
  foldLastEffectMessages(core: TaskCore): void {
    this.#foldFirst(core, this.#mailbox.effectMessages(), () => false)
  }

  #foldFirst(core: TaskCore, messages: readonly EffectMessage[], isEnough: () => boolean): void {
    if (core.phase !== 'live') return
    let count = 0
    for (; count < messages.length && !isEnough(); count++) this.#foldMessage(core, messages[count] as EffectMessage)
    if (count > 0) this.#mailbox.dropEffectMessages(count)
  }

  /** The replay has ended: what the effects that are wanted said during it is folded next. */
  goLive(isWanted: (effectId: string) => boolean): void {
    this.#mailbox.putBack(this.#early.filter(({ effectId }) => isWanted(effectId)))
    this.#early = []
  }

  /** A promise only when a schema has to be learned first: a batch is folded without waiting. */
  fold(core: TaskCore, message: Message): Promise<void> | undefined {
    try {
      this.#foldMessage(core, message)
      return undefined
    } catch (error) {
      return this.#s.patience.recover(
        error,
        () => this.#foldMessage(core, message),
        (refusal) => {
          if (message.kind !== 'record') throw error
          core.refuse(message.record, refusal, this.#clock.now())
          this.#inputs.add(message)
        },
      )
    }
  }

  /** Passes over all that waits: a dormant task wants none of it. */
  passOver(core: TaskCore): void {
    this.#skipped += this.#mailbox.size
    for (const [topic, offset] of this.#mailbox.passOver()) core.skipTo(topic, offset)
  }

  /**
   * What was folded since the last commit has changed nothing (what an effect told twice, an event that its handler
   * ignored), so no commit will follow for its sake: whoever waits for one has it.
   */
  finish(): void {
    this.#inputs.done()
    this.#skipped += this.#inputs.count
    this.#inputs = new FoldedInputs()
  }

  /** For the batch that holds what comes of them. */
  takeInputs(): FoldedInputs {
    const inputs = this.#inputs
    this.#inputs = new FoldedInputs()
    this.#skipped = 0
    return inputs
  }

  /** The position was taken, whether there was anything to write or not. */
  forgetSkipped(): void {
    this.#skipped = 0
  }

  /** The memory is discarded. Returns what effects said that was folded into it, or waited for it, to be told again. */
  discard(): readonly EffectMessage[] {
    const effects = [...this.takeInputs().effects, ...this.#early]
    this.#unlearned = null
    this.#early = []
    return effects
  }

  /**
   * Whether the message was folded once its schema was learned. While the registry is away it waits where it is: the
   * task need not be opened anew for that, and what it has folded before is committed.
   */
  async #isLearned(folding: Promise<void>): Promise<boolean> {
    try {
      await folding
      this.#unlearned = null
      return true
    } catch (error) {
      if (!isRetryable(error)) throw error
      const failures = (this.#unlearned?.failures ?? 0) + 1
      const waitMs = backoffMs(failures, this.#clock.random())
      this.#unlearned = { failures, againAtMs: this.#clock.monotonicMs() + waitMs }
      this.#s.log.warn({ err: error, failures, waitMs: Math.round(waitMs) }, 'task waits for a schema')
      return false
    }
  }

  #foldMessage(core: TaskCore, message: Message): void {
    const now = this.#clock.now()
    switch (message.kind) {
      case 'record':
        if (!core.fold(message.record, now)) {
          this.#skipped += 1
          return
        }
        break
      case 'skip':
        return core.skipTo(message.topic, message.offset)
      case 'report':
        core.report(message.effectId, message.n, message.value, now)
        break
      case 'settled':
        core.settle(message.effectId, message.outcome, now)
        break
      case 'failed':
        core.fail(message.effectId, message.failure, now, message.n)
    }
    this.#inputs.add(message)
  }
}
