import { deriveId } from '../../platform/ids.ts'
import type { OutputRecord } from '../kafka/log-records.ts'
import type { Edge, Processor } from '../processor.ts'
import type { LiveEffect } from './effect-ledger.ts'
import type { History } from './history.ts'
import type { Journal } from './journal.ts'
import type { Step, StepOrigin } from './step.ts'
import type { TaskMemory } from './task-memory.ts'

/**
 * Carries out what a step asked for: each change goes into the memory and, as an entry, into the journal, so that the two
 * can never differ. In a replay, `past` says what was done before; what the log lacks is held instead of emitted.
 */
export class StepWriter {
  readonly #processor: string
  /** Events that confirm an effect of any name. */
  readonly #confirming: readonly Edge[]
  readonly #memory: TaskMemory
  readonly #journal: Journal
  #cancelled: string[] = []

  constructor({ name, confirmedBy }: Processor, memory: TaskMemory, journal: Journal) {
    this.#processor = name
    this.#confirming = Object.values(confirmedBy).flatMap((edges) => edges ?? [])
    this.#memory = memory
    this.#journal = journal
  }

  /**
   * Encodes what the step promises, so that what no entry holds fails while nothing of the step is there. The result keeps
   * the promises, in their order.
   */
  prepare(step: Step, past: History | null): readonly Promised[] {
    const isReplayed = this.#memory.replay !== null
    if (!isReplayed && step.performs.length === 0 && step.timers.size === 0) return NO_PROMISES
    const promises: Promised[] = []
    if (!step.closed) {
      for (const [name, atMs] of step.timers) promises.push(this.#timer(step.origin, name, atMs, past))
    }
    for (const asked of step.performs) promises.push(this.#effect(step, asked, past))
    if (isReplayed) for (const output of step.outputs) promises.push(this.#heldOutput(output, step.origin.nowMs, past))
    return promises
  }

  write(step: Step, promises: readonly Promised[], past: History | null): void {
    const { effects, timers, recordTimers, closed } = this.#memory
    const { key, nowMs } = step.origin
    for (const effect of effects.ofKey(key)) {
      if (!isCancelled(step, effect)) continue
      this.removeEffect(effect)
      this.#cancelled.push(effect.id)
    }
    if (step.closed) {
      for (const name of [...timers.namesOf(key), ...recordTimers.namesOf(key)]) this.dropTimer(key, name)
      closed.set(key, nowMs)
      this.#journal.write({ kind: 'closed', key, value: { closedAtMs: nowMs } })
    }
    for (const keep of promises) keep()
    if (this.#memory.replay !== null) return
    for (const output of step.outputs) if (!isEmitted(output, nowMs, past)) this.#journal.emit(output)
  }

  writeEffect({ id, key, record }: LiveEffect): void {
    this.#journal.write({ kind: 'effect', key, effectId: id, value: record })
  }

  removeEffect(effect: LiveEffect): void {
    this.#memory.effects.remove(effect.id)
    this.#journal.write({ kind: 'effect', key: effect.key, effectId: effect.id, value: null })
  }

  dropTimer(key: string, name: string): void {
    const timers = this.#memory.timersOf(name)
    if (timers.get(key, name) === undefined) return
    timers.remove(key, name)
    this.#journal.write({ kind: 'timer', key, timer: name, value: null })
  }

  /** The event was met. */
  dropConfirmation(key: string, eventId: string | undefined): void {
    if (eventId === undefined || !this.#memory.confirmations.delete(eventId)) return
    this.#journal.write({ kind: 'confirmation', key, eventId, value: null })
  }

  /** Nothing of the key is done again any more. */
  endConfirmations(key: string): void {
    for (const entry of this.#memory.takeConfirmations((other) => other === key)) this.#journal.write(entry)
  }

  /** Effects cancelled since the last call. */
  takeCancelled(): readonly string[] {
    const cancelled = this.#cancelled
    this.#cancelled = []
    return cancelled
  }

  #effect(step: Step, asked: Step['performs'][number], past: History | null): Promised {
    const { key, causeId, nowMs, traceparent } = step.origin
    const { effects } = this.#memory
    const { id, effect, input, inputBytes } = asked
    const known = effects.get(id)
    // A replay meets again what was promised before it, by this very step.
    if (known !== undefined) return NOTHING
    if (past?.settled(id, causeId) === true) return () => this.#expectConfirmation(key, id, past)
    const record = {
      effect,
      input: inputBytes,
      causeId,
      sequence: effects.nextSequence(),
      ...NEVER_RUN,
      resumeFrom: past?.reports(id) ?? 0,
      askedAtMs: nowMs,
      traceparent,
      replayed: past !== null,
    }
    const entry = this.#journal.encode({ kind: 'effect', key, effectId: id, value: record })
    return () => {
      effects.put({ id, key, input, record })
      this.#journal.put(entry)
    }
  }

  /** The event that says so is still to be met, and must not confirm another effect of the key. */
  #expectConfirmation(key: string, effectId: string, past: History): void {
    for (const eventId of past.settledAs(effectId, this.#confirming)) {
      this.#memory.confirmations.set(eventId, key)
      this.#journal.write({ kind: 'confirmation', key, eventId, value: { effectId } })
    }
  }

  /** What a replay would emit, and the log does not hold. */
  #heldOutput(output: OutputRecord, nowMs: number, past: History | null): Promised {
    if (isEmitted(output, nowMs, past)) return NOTHING
    const { topic, partition = null, key, headers } = output
    const { held } = this.#memory
    const sequence = this.#memory.nextHeldSequence()
    const outputId = headers.ce_id ?? `unnamed-${sequence}`
    const value = { sequence, topic, partition, key, value: output.value as Buffer, headers }
    const entry = this.#journal.encode({ kind: 'held', outputId, value })
    return () => {
      held.set(outputId, value)
      this.#journal.put(entry)
    }
  }

  #timer(
    { key, identity, causeId, traceparent }: StepOrigin,
    name: string,
    atMs: number | null,
    past: History | null,
  ): Promised {
    const timerId = deriveId(this.#processor, identity, 'timer', name)
    const timers = this.#memory.timersOf(name)
    // On record time it fires again, at the same place; on the wall clock there is no such place.
    const hasFired = timers === this.#memory.timers && past?.happened(`timer/${timerId}`, causeId) === true
    if (atMs === null || hasFired) return () => this.dropTimer(key, name)
    const timer = { timerId, atMs, causeId, traceparent }
    const entry = this.#journal.encode({ kind: 'timer', key, timer: name, value: timer })
    return () => {
      timers.put({ key, name, timer })
      this.#journal.put(entry)
    }
  }
}

/** Keeps what a step promised; cannot fail. */
type Promised = () => void
const NOTHING: Promised = () => undefined
const NO_PROMISES: readonly Promised[] = []

/** What a step asks for itself outlives what it cancels. */
const isCancelled = ({ closed, cancels, performs }: Step, { id, record }: LiveEffect): boolean =>
  (closed || cancels.has(record.effect)) && !performs.some((asked) => asked.id === id)

const isEmitted = ({ topic, headers }: OutputRecord, nowMs: number, past: History | null): boolean =>
  past !== null && headers.ce_id !== undefined && past.emitted(headers.ce_id, topic, nowMs)

const NEVER_RUN = { runs: 0, unproven: 0, failures: 0, notBeforeMs: 0 }
