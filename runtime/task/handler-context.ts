import { BugError, type Facts } from '../../platform/errors.ts'
import type { Cause, Collection, Destination, Edge, LogLevel, Processor, StepLog } from '../processor.ts'
import type { StateStore } from './state-store.ts'
import type { Step } from './step.ts'

/**
 * What handlers are called with: the context of the step that is under way.
 *
 * There is one for all steps of a task. Its parts (a collection per declared collection, a function per declared event and
 * effect) are made once and look up the step when they are called; making them for each record took longer than most
 * handlers. A handler is synchronous, so its step is the present one for as long as it runs. One that keeps its context
 * and uses it later, after an `await` for instance, is told so.
 */
export class HandlerContext {
  readonly state: Readonly<Record<string, Collection<unknown>>>
  readonly emit: Readonly<Record<string, (event: object, destination?: Destination) => void>>
  readonly perform: Readonly<Record<string, (input: unknown) => string>>
  readonly cancel = (effect: string): void => this.#present.cancel(effect)
  readonly schedule = (timer: string, atMs: number): void => this.#present.setTimer(timer, atMs)
  readonly unschedule = (timer: string): void => this.#present.setTimer(timer, null)
  readonly close = (): void => this.#present.close()
  readonly id = (n: string | number): string => this.#present.id(n)
  readonly log: StepLog = {
    debug: (facts, message) => this.#note('debug', facts, message),
    info: (facts, message) => this.#note('info', facts, message),
    warn: (facts, message) => this.#note('warn', facts, message),
    error: (facts, message) => this.#note('error', facts, message),
  }
  #step: Step | null = null

  constructor({ state, effects, writes }: Processor, store: StateStore) {
    const keyOf = () => this.key
    this.state = fromNames(Object.keys(state), (name) => store.collection(name, keyOf))
    this.emit = emittersOf(writes, () => this.#present)
    this.perform = fromNames(Object.keys(effects), (name) => (input) => this.#present.perform(name, input))
  }

  /** Runs a handler in its step; `handle` returns what it did. Throws HANDLER_ASYNC, and what it throws. */
  during(step: Step, handle: (context: HandlerContext) => unknown): void {
    this.#step = step
    try {
      requireSynchronous(handle(this))
    } finally {
      this.#step = null
    }
  }

  get key(): string {
    return this.#present.origin.key
  }

  get now(): number {
    return this.#present.origin.nowMs
  }

  get cause(): Cause {
    return this.#present.origin.cause
  }

  #note(level: LogLevel, facts: Facts, message: string): void {
    this.#present.note({ level, message, facts })
  }

  get #present(): Step {
    if (this.#step !== null) return this.#step
    throw new BugError('CONTEXT_OUTLIVED', 'a handler used its context after it had returned: handlers are synchronous')
  }
}

/**
 * Throws BugError HANDLER_ASYNC when the handler has returned a promise. Types let an `async` one pass, but what it does
 * after its first `await` is done when its step is over, and that it fails would be nobody's to hear.
 */
export const requireSynchronous = (returned: unknown): void => {
  if (returned === undefined || typeof (returned as PromiseLike<unknown> | null)?.then !== 'function') return
  Promise.resolve(returned as PromiseLike<unknown>).catch(() => {}) // it fails with its step, and is told there
  throw new BugError('HANDLER_ASYNC', 'a handler has returned a promise: handlers are synchronous')
}

/** A function per event that is written, for whichever step is meant. */
export const emittersOf = (
  writes: readonly Edge[],
  stepOf: () => Step,
): Record<string, (event: object, destination?: Destination) => void> =>
  Object.fromEntries(
    writes.flatMap((edge) =>
      edge.events.map((event) => [event, (data: object, to?: Destination) => stepOf().emit(edge, event, data, to)]),
    ),
  )

const fromNames = <T>(names: readonly string[], make: (name: string) => T): Record<string, T> =>
  Object.fromEntries(names.map((name) => [name, make(name)]))
