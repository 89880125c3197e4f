import type { Scheduler } from '../../platform/clock.ts'
import type { Logger } from '../../platform/log.ts'
import type { Processor } from '../processor.ts'
import type { Attempted } from '../task/attempts.ts'
import type { LiveEffect } from '../task/effect-ledger.ts'
import type { Alert } from '../task/failures.ts'
import type { Batch } from '../task/journal.ts'
import type { KeptNote } from '../task/step-notes.ts'
import type { TaskCore } from '../task/task-core.ts'
import type { Bisection } from './bisection.ts'
import type { EffectMessage, EffectRuns } from './effect-runs.ts'
import type { FoldedInputs } from './folded-inputs.ts'
import type { Folding } from './folding.ts'
import type { Mailbox } from './mailbox.ts'
import type { EngineObserver } from './observer.ts'
import type { TaskLogWriter } from './task-log.ts'
import type { TaskSignal } from './task-signal.ts'

/**
 * A commit follows the one before at this distance, or at once when the task was idle for longer, ms. The first
 * design had 25: then a record that came 20 ms after a commit waited for the rest. One hop under a trickle of a record each
 * 20 to 60 ms (bench/results/engine.md): p99 28 ms with 25, 15.5 with 15. It is not 0, for a transaction that begins before
 * the broker has ended the one before costs more: back to back some 12 ms.
 */
const COMMIT_INTERVAL_MS = 15
/** While more waits to be folded: each commit costs as much as hundreds of records. Full batches do not wait. */
const LOADED_COMMIT_MS = 50
/** The position follows what was passed over within this time, ms: far less than any input keeps its records. */
export const POSITION_ALONE_MS = 60 * 60 * 1000

/** A batch on its way into the log, and what follows from it once it is there. */
interface Sent {
  readonly batch: Batch
  readonly inputs: FoldedInputs
  readonly attempted: Attempted
  readonly cancelled: readonly string[]
  readonly alerts: readonly Alert[]
  readonly notes: readonly KeptNote[]
  readonly launches: readonly Launch[]
}

interface Launch {
  readonly id: string
  /** The effect as the batch has it: its run is begun. Undefined when a later step of the batch removed it. */
  readonly effect: LiveEffect | undefined
  readonly start: () => void
}

interface Settings {
  readonly processor: Processor
  readonly task: number
  readonly clock: Scheduler
  readonly log: Logger
  readonly observer: EngineObserver
  readonly runs: EffectRuns
  readonly bisection: Bisection
  readonly mailbox: Mailbox
  readonly folding: Folding
  readonly signal: TaskSignal
}

/**
 * Commits what was folded in groups, one at a time: while a batch is on its way, the next is folded. What follows from a
 * batch (effects begin or end, whoever waits for it is told) follows when it is in the log. After any error the writer is
 * dead, and what became of the batch is answered by the changelog.
 */
export class GroupCommit {
  readonly #s: Settings
  #writer: TaskLogWriter | null = null
  #sent: Sent | null = null
  #sending: Promise<void> = Promise.resolve()
  #error: unknown = null
  #lastCommitMs = 0
  #launches: string[] = []
  /** Begun in a batch of which nobody knows whether it is in the log; in this process the run never began. */
  #neverRan: readonly LiveEffect[] = []

  constructor(settings: Settings) {
    this.#s = settings
  }

  /** The task was taken over by this writer. */
  open(writer: TaskLogWriter): void {
    this.#writer = writer
  }

  get isSending(): boolean {
    return this.#sent !== null
  }

  /** What the batch is made of that is on its way, or has failed; null when there is none. */
  get attempted(): Attempted | null {
    return this.#sent?.attempted ?? null
  }

  /** Throws what the batch that was sent last has failed with. */
  throwIfFailed(): void {
    if (this.#error !== null) throw this.#error
  }

  isDue(core: TaskCore): boolean {
    const leftMs = this.untilDueMs(core)
    return this.#s.folding.isBatchFull(core) || (leftMs !== null && leftMs <= 0)
  }

  /** How long what was folded, or passed over, may wait for its commit; null when there is nothing. */
  untilDueMs(core: TaskCore): number | null {
    const { clock, mailbox, folding } = this.#s
    const sinceMs = clock.monotonicMs() - this.#lastCommitMs
    if (core.pendingRecords > 0) return (mailbox.size > 0 ? LOADED_COMMIT_MS : COMMIT_INTERVAL_MS) - sinceMs
    return folding.skipped > 0 ? POSITION_ALONE_MS - sinceMs : null
  }

  /** Effects that may run and get a slot: the next batch says that they begin. */
  beginEffects(core: TaskCore): void {
    const { runs, clock } = this.#s
    for (const effect of core.runnable(clock.now(), (id) => runs.has(id))) {
      if (!runs.reserve(effect)) continue
      core.begin(effect.id)
      this.#launches.push(effect.id)
    }
  }

  /** No process died of a run that never began: it must not count as one that killed its worker. */
  acquitNeverRan(core: TaskCore): void {
    for (const { id, record } of this.#neverRan) {
      const now = core.effect(id)?.record
      if (now?.runs === record.runs && now.unproven === record.unproven) core.interrupt(id)
    }
  }

  /** Takes what was folded as the next batch and sends it; what follows from it follows when it is there. */
  start(core: TaskCore): void {
    const sent = this.#takeBatch(core, true)
    if (sent === null) return
    this.#sent = sent
    this.#sending = this.#send(sent).catch((error: unknown) => {
      // Of a task that was discarded meanwhile, and may have been opened anew: that one has a writer of its own.
      if (this.#sent !== sent) return
      this.#error = error
      this.#s.signal.wake()
    })
  }

  /** Commits and waits for it. */
  async commit(core: TaskCore, positionAlone = false): Promise<void> {
    const sent = this.#takeBatch(core, positionAlone)
    if (sent === null) return
    this.#sent = sent
    await this.#send(sent)
  }

  /** Waits for the batch that is on its way. Throws what it has failed with. */
  async finish(): Promise<void> {
    await this.#sending
    this.throwIfFailed()
  }

  /** The last batch of a task that is given up: nothing follows from it here. */
  async commitLast(core: TaskCore): Promise<void> {
    const sent = this.#takeBatch(core, true)
    if (sent === null) return
    this.#sent = sent
    await this.#writer?.commit(sent.batch)
    this.#sent = null
    sent.inputs.done()
    for (const note of sent.notes) this.#log(note)
  }

  /** Forgets what was not committed. Returns what effects said in it, to be told again, and the writer, to be closed. */
  discard(): { readonly effects: readonly EffectMessage[]; readonly writer: TaskLogWriter | null } {
    const unsure = this.#sent?.launches ?? []
    for (const id of [...unsure.map(({ id }) => id), ...this.#launches]) this.#s.runs.forget(id)
    this.#neverRan = [...this.#neverRan, ...unsure.flatMap(({ effect }) => effect ?? [])]
    const discarded = { effects: this.#sent?.inputs.effects ?? [], writer: this.#writer }
    this.#launches = []
    this.#sent = null
    this.#error = null
    this.#writer = null
    return discarded
  }

  #takeBatch(core: TaskCore, positionAlone: boolean): Sent | null {
    const { folding, runs } = this.#s
    const batch = core.takeBatch({ positionAlone })
    const attempted = core.takeAttempted()
    // What was passed over may all lie before the position: another owner has folded it.
    if (positionAlone) folding.forgetSkipped()
    if (batch === null) return null
    // The executor reads what this batch holds, not what is folded while it is committed.
    const launches = this.#launches.map((id): Launch => {
      const effect = core.effect(id)
      if (effect === undefined) return { id, effect, start: () => runs.forget(id) }
      const reads = core.readsOf(effect)
      return { id, effect, start: () => runs.launch(effect, reads) }
    })
    this.#launches = []
    const inputs = folding.takeInputs()
    const follows = { cancelled: core.takeCancelled(), alerts: core.takeAlerts(), notes: core.takeNotes() }
    return { batch, inputs, attempted, ...follows, launches }
  }

  async #send(sent: Sent): Promise<void> {
    const { clock, observer, processor, task, bisection, runs, signal } = this.#s
    const startedAt = clock.monotonicMs()
    const { outputs, changelog } = sent.batch
    await (this.#writer as TaskLogWriter).commit(sent.batch)
    // Discarded meanwhile: whether it went through is answered by the changelog.
    if (this.#sent !== sent) return
    this.#sent = null
    this.#neverRan = []
    this.#lastCommitMs = clock.monotonicMs()
    observer.committed(processor.name, task, this.#lastCommitMs - startedAt, outputs.length + changelog.length)
    bisection.committed(sent.attempted)
    sent.inputs.done()
    for (const id of sent.cancelled) runs.cancel(id)
    for (const { start } of sent.launches) start()
    for (const note of sent.notes) this.#log(note)
    for (const alert of sent.alerts) this.#raise(alert)
    signal.wake()
  }

  #log({ level, message, facts, key, eventId }: KeptNote): void {
    this.#s.log[level]({ ...facts, key, eventId }, message)
  }

  #raise({ kind, facts, ...alert }: Alert): void {
    const { log, observer, processor } = this.#s
    const what = kind === 'blocked' ? 'key blocked: see `reelstream blocked`' : 'record refused: see `reelstream dlq`'
    log.error({ ...facts, ...alert }, what)
    observer.setAside(processor.name, kind, alert.code)
  }
}
