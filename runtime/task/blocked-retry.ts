import type { LogRecord } from '../kafka/log-records.ts'
import type { OperatorRequest } from '../state/generated.ts'
import type { Attempts } from './attempts.ts'
import type { Queued } from './blocked-keys.ts'
import type { Refusal } from './dead-letter.ts'
import type { Failures } from './failures.ts'
import type { HeldOutputs } from './held-outputs.ts'
import type { Journal } from './journal.ts'
import { fromQueued, queuedRecord } from './queued-inputs.ts'
import type { Replay } from './replay.ts'
import type { StepSettings } from './step.ts'
import type { StepRunner } from './step-runner.ts'
import type { StepWriter } from './step-writer.ts'
import { isUnlearned, type TaskMemory } from './task-memory.ts'

interface Parts {
  readonly attempts: Attempts
  readonly held: HeldOutputs
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
    const { attempts, memory, journal, replay } = this.#parts
    for (const [requestId, request] of memory.requests) {
      if (!attempts.hasRoom) return
      if (request.command === 'RELEASE') replay.release()
      else if (!this.#serve(request, nowMs)) {
        // The next batch goes on, and must not skip another.
        const value = { ...request, command: 'RETRY' } as const
        memory.requests.set(requestId, value)
        return journal.write({ kind: 'request', requestId, value })
      }
      memory.requests.delete(requestId)
      journal.write({ kind: 'request', requestId, value: null })
    }
    if (memory.replay === null) replay.remember(null)
  }

  #serve({ command, key }: OperatorRequest, nowMs: number): boolean {
    if (command === 'SKIP') this.#skipFirst(key, nowMs)
    return this.retry(key, nowMs)
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

  /**
   * Folds the queue of a blocked key, up to what fails again, or cannot be read; in front of it is what a replay has held
   * back. False: the batch takes no more of it.
   */
  retry(key: string, nowMs: number): boolean {
    const { attempts, memory, held, failures, writer } = this.#parts
    const { blocked } = memory
    if (!blocked.has(key)) return true
    // While a replay lasts, its end emits what it holds.
    const emitted = memory.replay === null ? held.retry(key, nowMs) : 'done'
    if (emitted !== 'done') return emitted === 'refused'
    const queue = blocked.queue(key)
    for (const queued of queue) {
      if (!attempts.hasRoom) return false
      if (!this.#retryOne(key, queued, nowMs)) return true
    }
    failures.unblock(key)
    if (queue.some(({ input }) => input.replayed)) this.#fireReplayed(key)
    if (memory.replay === null) writer.endConfirmations(key)
    return true
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

  /** False: it has failed again. */
  #retryOne(key: string, { sequence, input }: Queued, nowMs: number): boolean {
    const { memory, replay, failures, steps } = this.#parts
    // What is as of its own time comes out as it would have then.
    const isOfThen = input.replayed || (input.kind === 'TIMER' && memory.isOnRecordTime(input.causeId))
    try {
      const queued = fromQueued(key, input, memory, this.#settings)
      const past = input.replayed ? replay.past : null
      if (queued !== null) steps.takeQueued(queued, key, isOfThen ? input.atMs : nowMs, past)
    } catch (error) {
      // What nobody knows the schema of must not stop the other keys.
      const refusal = isUnlearned(error) ? UNLEARNED : steps.refusalOf(error)
      failures.block(key, refusal, nowMs, { retried: 'yes' })
      return false
    }
    failures.dequeue(key, sequence)
    return true
  }

  /** What it holds is not decoded: that may be what it waits for. */
  #skipFirst(key: string, nowMs: number): void {
    const { memory, held } = this.#parts
    const why = memory.blocked.get(key)
    if (why === undefined) return
    const refusal = { code: `SKIPPED_${why.code}`, detail: why.detail }
    const output = held.isRefused(key) ? held.takeFirst(key, nowMs) : undefined
    if (output !== undefined) return this.#bury(output, refusal, 0)
    const [first] = memory.blocked.queue(key)
    if (first !== undefined) this.#skipInput(key, first, refusal)
  }

  #bury(record: LogRecord, refusal: Refusal, sequence: number): void {
    const { attempts, failures } = this.#parts
    failures.bury(record, refusal, attempts.begin({ kind: 'skip', key: record.key ?? '', sequence }))
  }

  #skipInput(key: string, { sequence, input }: Queued, refusal: Refusal): void {
    const { memory, failures, writer } = this.#parts
    const { effects } = memory
    const { kind, causeId, n } = input
    const effect = effects.get(causeId)
    if (kind === 'RECORD') this.#bury(queuedRecord(key, input), refusal, sequence)
    else if (kind === 'TIMER') writer.dropTimer(key, causeId)
    else if (effect !== undefined && kind === 'REPORT') writer.writeEffect(effects.skipped(causeId, n))
    else if (effect !== undefined) writer.removeEffect(effect)
    failures.dequeue(key, sequence)
  }
}
