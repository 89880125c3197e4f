import type { Refusal } from './dead-letter.ts'
import type { Failures } from './failures.ts'
import type { Journal } from './journal.ts'
import { fromQueued, queuedRecord } from './queued-inputs.ts'
import type { Replay } from './replay.ts'
import type { StepSettings } from './step.ts'
import type { StepRunner } from './step-runner.ts'
import type { StepWriter } from './step-writer.ts'
import { isUnlearned, type TaskMemory } from './task-memory.ts'

interface Parts {
  readonly memory: TaskMemory
  readonly journal: Journal
  readonly replay: Replay
  readonly failures: Failures
  readonly writer: StepWriter
  readonly steps: StepRunner
}

const UNLEARNED: Refusal = { code: 'SCHEMA_UNKNOWN', detail: 'the schema of what waits is not registered' }

/** Lets blocked keys go on, when an operator asks for it or other code may do better. */
export class BlockedRetry {
  readonly #settings: StepSettings
  readonly #parts: Parts

  constructor(settings: StepSettings, parts: Parts) {
    this.#settings = settings
    this.#parts = parts
  }

  /** Does what operators have asked since; what is impossible by now (the key is not blocked) is done with. */
  serveRequests(nowMs: number): void {
    const { memory, journal, replay } = this.#parts
    for (const [requestId, { command, key }] of memory.requests) {
      if (command === 'RELEASE') replay.release()
      if (command === 'SKIP') this.#skipFirst(key)
      if (command !== 'RELEASE') this.retry(key, nowMs)
      memory.requests.delete(requestId)
      journal.write({ kind: 'request', requestId, value: null })
    }
    if (memory.replay === null) replay.remember(null)
  }

  /** Schemas of what waits that are not known here: to be learned, if they can be, before anything is folded again. */
  unlearned(): ReadonlySet<number> {
    const { codec } = this.#settings
    const ids = new Set<number>()
    for (const { value } of this.#parts.memory.blocked.inputs()) {
      const id = value === null ? undefined : codec.schemaId(value)
      if (id !== undefined && !codec.knows(id)) ids.add(id)
    }
    return ids
  }

  /** Folds the queue of a blocked key, up to what fails again, or cannot be read. */
  retry(key: string, nowMs: number): void {
    const { memory, replay, failures, writer, steps } = this.#parts
    const { blocked } = memory
    if (!blocked.has(key)) return
    const queue = blocked.queue(key)
    for (const { sequence, input } of queue) {
      // What is as of its own time comes out as it would have then.
      const isOfThen = input.replayed || (input.kind === 'TIMER' && memory.isOnRecordTime(input.causeId))
      try {
        const queued = fromQueued(key, input, memory, this.#settings)
        const past = input.replayed ? replay.past : null
        if (queued !== null) steps.takeQueued(queued, key, isOfThen ? input.atMs : nowMs, past)
      } catch (error) {
        // What nobody knows the schema of must not stop the other keys.
        const refusal = isUnlearned(error) ? UNLEARNED : steps.refusalOf(error)
        return failures.block(key, refusal, nowMs, { retried: 'yes' })
      }
      failures.dequeue(key, sequence)
    }
    failures.unblock(key)
    if (queue.some(({ input }) => input.replayed)) this.#fireReplayed(key)
    if (memory.replay === null) writer.endConfirmations(key)
  }

  /** Timers on record time that a replay would have fired, had the key not waited: they may have fired before it. */
  #fireReplayed(key: string): void {
    const { memory, replay, failures, steps } = this.#parts
    const { recordTimers, recordTimeMs, blocked } = memory
    for (const { key: of, name, timer } of recordTimers.eachDue(recordTimeMs)) {
      if (of !== key || blocked.has(key)) continue
      const input = { kind: 'timer', key, name, timer } as const
      try {
        steps.takeQueued(input, key, timer.atMs, replay.past)
      } catch (error) {
        failures.blockWith(input, key, steps.refusalOf(error), timer.atMs)
      }
    }
  }

  /** What it holds is not decoded: that may be what it waits for. */
  #skipFirst(key: string): void {
    const { memory, failures, writer } = this.#parts
    const { blocked, effects } = memory
    const why = blocked.get(key)
    const first = blocked.queue(key)[0]
    if (why === undefined || first === undefined) return
    const { kind, causeId, n } = first.input
    const effect = effects.get(causeId)
    if (kind === 'RECORD') {
      failures.bury(queuedRecord(key, first.input), { code: `SKIPPED_${why.code}`, detail: why.detail })
    } else if (kind === 'TIMER') writer.dropTimer(key, causeId)
    else if (effect !== undefined && kind === 'REPORT') writer.writeEffect(effects.skipped(causeId, n))
    else if (effect !== undefined) writer.removeEffect(effect)
    failures.dequeue(key, first.sequence)
  }
}
