import { BugError } from '../../platform/errors.ts'
import type { Processor } from '../processor.ts'
import type { HeldOutputs } from './held-outputs.ts'
import type { History } from './history.ts'
import type { Journal } from './journal.ts'
import type { TaskMemory } from './task-memory.ts'

/** `held`: the inputs are replayed, and more is left to do than is done without being asked for. */
export type Phase = 'live' | 'replaying' | 'held'

export interface InputRange {
  readonly beginning: bigint
  readonly end: bigint
}

/** What a replay has left to do. */
export interface Remaining {
  readonly outputs: number
  readonly effects: number
  /** Timers that are due. */
  readonly timers: number
}

/** A replay that has more left to do than this waits for `processors release`: somebody should have seen the number. */
export const RELEASE_LIMIT = 100
/** Of a position whose memory is being forgotten: no processor has it. */
const NO_VERSION = 0
/** Held outputs that are emitted in one batch. */
const RELEASE_STEP = 1_000

/**
 * How a task rebuilds its memory from its inputs (docs/adr/0014): it forgets what it remembered, folds everything up to
 * the ends that the inputs had when it began, with what it would do held, and then does what the log does not show as
 * done. Whoever drives it calls `forgetSome` until all is forgotten, and `end` until the phase is `live`; each call writes
 * a batch's worth, and a crash in between goes on from what was committed.
 */
export class Replay {
  readonly #processor: Processor
  readonly #memory: TaskMemory
  readonly #journal: Journal
  readonly #held: HeldOutputs
  #history: History | null = null
  #forgetting: ReturnType<TaskMemory['forget']> | null = null

  constructor(processor: Processor, memory: TaskMemory, journal: Journal, held: HeldOutputs) {
    this.#processor = processor
    this.#memory = memory
    this.#journal = journal
    this.#held = held
  }

  get phase(): Phase {
    const { replay, position } = this.#memory
    if (replay === null) return 'live'
    const isThrough = Object.entries(replay.until).every(([topic, end]) => (position.get(topic) ?? 0n) >= BigInt(end))
    return isThrough && !this.isForgetting ? 'held' : 'replaying'
  }

  /** A memory that is half forgotten must not pass for a whole one: no position is written. */
  get isForgetting(): boolean {
    return this.#forgetting !== null
  }

  /** Whether it must be told what the processor did before, for a replay or for what was blocked in one. */
  get needsHistory(): boolean {
    const { replay, requests, blocked } = this.#memory
    const retried = [...requests.values()].flatMap(({ key }) => blocked.queue(key))
    return this.#history === null && (replay !== null || retried.some(({ input }) => input.replayed))
  }

  remember(history: History | null): void {
    this.#history = history
  }

  /** What was done before. Throws BugError HISTORY_MISSING when nobody said. */
  get past(): History {
    if (this.#history !== null) return this.#history
    throw new BugError('HISTORY_MISSING', 'something is folded again before it is known what was done')
  }

  /** A processor that starts `now` skips what is there instead. */
  begin(inputs: ReadonlyMap<string, InputRange>): void {
    const memory = this.#memory
    const startsNow = this.#processor.start === 'now'
    const isNew = memory.version === null
    const before = memory.position.offsets()
    for (const [topic, { beginning, end }] of inputs) {
      const from = startsNow ? end : beginning
      if (!startsNow || isNew || !memory.position.has(topic)) memory.position.set(topic, from)
    }
    if (startsNow) return
    if (!isNew) this.#voidPosition(before)
    const until = Object.fromEntries([...inputs].map(([topic, { end }]) => [topic, Number(end)]))
    memory.replay = { until, released: false }
    memory.recordTimeMs = 0
    this.#forgetting = memory.forget()
  }

  /**
   * Other code may be next: an older release, or the next one. What is half forgotten is whole for none of them, so the
   * position goes first.
   */
  #voidPosition(offsets: Record<string, number>): void {
    const { recordTimeMs, changelogStart, reads } = this.#memory
    const value = { version: NO_VERSION, offsets, recordTimeMs, changelogStart, reads: [...reads] }
    this.#journal.write({ kind: 'position', value })
  }

  /** Writes the end of up to so many entries that are made anew. True: all are gone. */
  forgetSome(limit: number): boolean {
    for (let n = 0; this.#forgetting !== null && n < limit; n++) {
      const { value, done } = this.#forgetting.next()
      if (done === true) {
        this.#forgetting = null
        this.#journal.write({ kind: 'replay', value: this.#memory.replay })
      } else if ('kind' in value) this.#journal.write(value)
      else this.#journal.put(value)
    }
    return this.#forgetting === null
  }

  /** An operator has seen how much is left. */
  release(): void {
    const { replay } = this.#memory
    if (replay === null) return
    this.#memory.replay = { ...replay, released: true }
    this.#journal.write({ kind: 'replay', value: this.#memory.replay })
  }

  remaining(nowMs: number): Remaining {
    const { held, effects, timers } = this.#memory
    return { outputs: held.size, effects: effects.size, timers: timers.due(nowMs).length }
  }

  /**
   * Once the inputs are replayed: does what is left, if that is little or was released. Returns what was done before, when
   * that was the end of it.
   */
  end(nowMs: number): History | null {
    const { replay, blocked } = this.#memory
    if (replay === null || this.phase !== 'held') return null
    const { outputs, effects, timers } = this.remaining(nowMs)
    if (outputs + effects + timers > RELEASE_LIMIT && !replay.released) return null
    if (!this.#held.release(RELEASE_STEP, nowMs) || !this.#keepEffects(RELEASE_STEP)) {
      // Some are out: the rest must follow whatever else comes.
      this.release()
      return null
    }
    for (const entry of this.#memory.takeConfirmations((key) => !blocked.has(key))) this.#journal.write(entry)
    const past = this.#history
    this.#memory.replay = null
    this.#history = null
    this.#journal.write({ kind: 'replay', value: null })
    return past
  }

  /**
   * Every record that could say that they were carried out has been met: they are promised now. So many at once; true: all
   * are. That is written with each of them, for the entry that says that a replay is under way may be lost before them.
   */
  #keepEffects(limit: number): boolean {
    let kept = 0
    for (const { id, key, record } of this.#memory.effects.kept()) {
      this.#journal.write({ kind: 'effect', key, effectId: id, value: record })
      kept += 1
      if (kept === limit) return false
    }
    return true
  }
}
