import type { Collection } from '../processor.ts'

/**
 * The keyed state of one task, in memory: key → collection → id → value. Values are never mutated, only replaced.
 *
 * Writes go straight in and are recorded twice: in the step's undo log, so that a handler that throws leaves nothing
 * behind, and as changes of the batch, from which the changelog records are made. A batch whose commit fails is not
 * undone here: the whole task is dropped and rebuilt from the changelog (3-runtime, "any error ⇒ discard").
 */
export interface StateChange {
  readonly key: string
  readonly collection: string
  readonly id: string
  /** undefined = removed. */
  readonly value: unknown
}

type KeyState = Map<string, Map<string, unknown>>

export class StateStore {
  readonly #keys = new Map<string, KeyState>()
  /** The key that was looked up last, and what it has. */
  #recentKey: string | null = null
  #recent: KeyState | undefined
  #undo: StateChange[] = []
  #changed: StateChange[] = []

  /** A collection of whichever key is asked for at the moment. */
  collection<T>(collection: string, keyOf: () => string): Collection<T> {
    return {
      get: (id = '') => this.#get(keyOf(), collection, id) as T | undefined,
      put: (value, id = '') => this.#write({ key: keyOf(), collection, id, value }),
      delete: (id = '') => {
        const key = keyOf()
        if (this.#get(key, collection, id) !== undefined) this.#write({ key, collection, id, value: undefined })
      },
      entries: (prefix = '') => this.entries(keyOf(), collection, prefix) as readonly (readonly [string, T])[],
    }
  }

  entries(key: string, collection: string, prefix = ''): readonly (readonly [string, unknown])[] {
    const found = [...(this.#keys.get(key)?.get(collection) ?? [])].filter(([id]) => id.startsWith(prefix))
    return found.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  }

  /** Drops every entry of the key. */
  deleteKey(key: string): void {
    for (const [collection, entries] of this.#keys.get(key) ?? []) {
      for (const id of [...entries.keys()]) this.#write({ key, collection, id, value: undefined })
    }
  }

  /** Drops everything, entry by entry as it is asked for; yields what became of each. Outside of steps only. */
  *clear(): Generator<StateChange> {
    this.#recentKey = null
    for (const [key, collections] of this.#keys) {
      this.#keys.delete(key)
      for (const [collection, entries] of collections) {
        for (const id of entries.keys()) yield { key, collection, id, value: undefined }
      }
    }
  }

  /** Puts a value that the changelog already holds. */
  restore(change: StateChange): void {
    this.#set(change)
  }

  /** What the step wrote so far, oldest first. */
  changedInStep(): readonly StateChange[] {
    return this.#changed
  }

  /** The step succeeded. */
  keepStep(): void {
    this.#changed = []
    this.#undo = []
  }

  /** The step failed: the state is as it was before it. */
  undoStep(): void {
    for (const change of this.#undo.reverse()) this.#set(change)
    this.#undo = []
    this.#changed = []
  }

  #write(change: StateChange): void {
    const { key, collection, id } = change
    this.#undo.push({ key, collection, id, value: this.#get(key, collection, id) })
    this.#changed.push(change)
    this.#set(change)
  }

  #get(key: string, collection: string, id: string): unknown {
    return this.#stateOf(key)?.get(collection)?.get(id)
  }

  /** A step asks for its key again and again, and with a million keys each look goes to main memory. */
  #stateOf(key: string): KeyState | undefined {
    if (key !== this.#recentKey) {
      this.#recentKey = key
      this.#recent = this.#keys.get(key)
    }
    return this.#recent
  }

  #set({ key, collection, id, value }: StateChange): void {
    let keyState = this.#stateOf(key)
    if (value === undefined) {
      keyState?.get(collection)?.delete(id)
      if (keyState?.get(collection)?.size === 0) keyState.delete(collection)
      if (keyState?.size === 0) {
        this.#keys.delete(key)
        this.#recent = undefined
      }
      return
    }
    if (keyState === undefined) {
      keyState = new Map()
      this.#keys.set(key, keyState)
      this.#recent = keyState
    }
    let entries = keyState.get(collection)
    if (entries === undefined) {
      entries = new Map()
      keyState.set(collection, entries)
    }
    entries.set(id, value)
  }
}
