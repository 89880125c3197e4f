import { setImmediate as afterPromises } from 'node:timers/promises'
import type { Random } from './random.ts'

/**
 * Time that passes only by jumping to the next thing that happens. Whatever the engine waits for is an event here; one is
 * taken at a time, and every promise that it resolves is followed to its end before the next is taken. Events of the same
 * moment are taken in an order that the dice decide. So a schedule is a function of its seed.
 */
export interface Owner {
  /** 'stopped' as by SIGSTOP: its events wait until it goes on. 'dead': they never happen. */
  readonly state: 'running' | 'stopped' | 'dead'
}

interface Event {
  atMs: number
  /** Decides among events of the same moment. */
  tie: number
  /** Whose code runs; null for the world outside the processes. */
  readonly owner: Owner | null
  act: (() => void) | null
}

export class VirtualTime {
  readonly #random: Random
  #nowMs: number
  #happened = 0
  /** Latest first, so that the next event is the last one. */
  #events: Event[] = []
  readonly #held = new Map<Owner, Event[]>()

  constructor(random: Random, startAtMs: number) {
    this.#random = random
    this.#nowMs = startAtMs
  }

  get nowMs(): number {
    return this.#nowMs
  }

  /** Events so far. */
  get happened(): number {
    return this.#happened
  }

  /** Lets `act` happen `delayMs` (rounded up to whole ones) from now, never before the current event has ended. Returns how to call it off. */
  after(delayMs: number, owner: Owner | null, act: () => void): () => void {
    const event: Event = { atMs: this.#nowMs + Math.max(0, Math.ceil(delayMs)), tie: this.#random.next(), owner, act }
    this.#insert(event)
    return () => {
      event.act = null
    }
  }

  /** What waited while its owner was stopped happens now, in its old order. */
  release(owner: Owner): void {
    const held = this.#held.get(owner) ?? []
    this.#held.delete(owner)
    for (const [n, event] of held.entries()) {
      event.atMs = this.#nowMs
      event.tie = n / held.length
      this.#insert(event)
    }
  }

  /** Lets time pass until the moment, with all that happens on the way. */
  async runUntil(untilMs: number): Promise<void> {
    for (let event = this.#events.at(-1); event !== undefined && event.atMs <= untilMs; event = this.#events.at(-1)) {
      this.#events.pop()
      if (event.act === null || event.owner?.state === 'dead') continue
      this.#nowMs = event.atMs
      if (event.owner?.state === 'stopped') {
        this.#held.set(event.owner, [...(this.#held.get(event.owner) ?? []), event])
        continue
      }
      this.#happened += 1
      event.act()
      await afterPromises()
    }
    this.#nowMs = untilMs
  }

  #insert(event: Event): void {
    let low = 0
    let high = this.#events.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (isAfter(this.#events[middle] as Event, event)) low = middle + 1
      else high = middle
    }
    this.#events.splice(low, 0, event)
  }
}

const isAfter = (a: Event, b: Event): boolean => (a.atMs === b.atMs ? a.tie > b.tie : a.atMs > b.atMs)
