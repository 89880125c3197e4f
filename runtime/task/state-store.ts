import type { Collection } from '../processor.ts'

/**
 * The keyed state of one task, in memory: collection → key → value, or id → value. Values are never mutated, only replaced.
 *
 * Most collections hold one value per key (the empty id), and there may be millions of keys: such a value costs an entry
 * in one map, not two maps of its own.
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

/** The values of one collection. */
interface Values {
  /** By key, those of the empty id. */
  readonly single: Map<string, unknown>
  /** By key and id, all others. */
  readonly byId: Map<string, Map<string, unknown>>
}

export class StateStore {
  readonly #collections = new Map<string, Values>()
  #undo: StateChange[] = NONE
  #changed: StateChange[] = NONE

  /** A collection of whichever key is asked for at the moment. */
  collection<T>(collection: string, keyOf: () => string): Collection<T> {
    const values = this.#valuesOf(collection)
    return {
      get: (id = '') => valueAt(values, keyOf(), id) as T | undefined,
      put: (value, id = '') => this.#write({ key: keyOf(), collection, id, value }),
      delete: (id = '') => {
        const key = keyOf()
        if (valueAt(values, key, id) !== undefined) this.#write({ key, collection, id, value: undefined })
      },
      entries: (prefix = '') => this.entries(keyOf(), collection, prefix) as readonly (readonly [string, T])[],
    }
  }

  entries(key: string, collection: string, prefix = ''): readonly (readonly [string, unknown])[] {
    const found = entriesOf(this.#valuesOf(collection), key).filter(([id]) => id.startsWith(prefix))
    return found.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  }

  /** Drops every entry of the key. */
  deleteKey(key: string): void {
    for (const [collection, values] of this.#collections) {
      for (const [id] of entriesOf(values, key)) this.#write({ key, collection, id, value: undefined })
    }
  }

  /** Drops everything, entry by entry as it is asked for; yields what became of each. Outside of steps only. */
  *clear(): Generator<StateChange> {
    for (const [collection, { single, byId }] of this.#collections) {
      for (const key of single.keys()) {
        single.delete(key)
        yield { key, collection, id: '', value: undefined }
      }
      for (const [key, values] of byId) {
        byId.delete(key)
        for (const id of values.keys()) yield { key, collection, id, value: undefined }
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
    this.#changed = NONE
    this.#undo = NONE
  }

  /** The step failed: the state is as it was before it. */
  undoStep(): void {
    for (const change of this.#undo.toReversed()) this.#set(change)
    this.#undo = NONE
    this.#changed = NONE
  }

  #write(change: StateChange): void {
    const { key, collection, id } = change
    const before = { key, collection, id, value: valueAt(this.#valuesOf(collection), key, id) }
    if (this.#changed.length === 0) {
      // A list that is made with its first element has room for it alone; most steps write once.
      this.#undo = [before]
      this.#changed = [change]
    } else {
      this.#undo.push(before)
      this.#changed.push(change)
    }
    this.#set(change)
  }

  #set({ key, collection, id, value }: StateChange): void {
    const { single, byId } = this.#valuesOf(collection)
    if (id === '') setOrDelete(single, key, value)
    else if (value !== undefined) ofKey(byId, key).set(id, value)
    else {
      byId.get(key)?.delete(id)
      if (byId.get(key)?.size === 0) byId.delete(key)
    }
  }

  #valuesOf(collection: string): Values {
    const known = this.#collections.get(collection)
    if (known !== undefined) return known
    const values = { single: new Map<string, unknown>(), byId: new Map<string, Map<string, unknown>>() }
    this.#collections.set(collection, values)
    return values
  }
}

/** Never written to: the first change of a step makes a list. */
const NONE: StateChange[] = []

const valueAt = ({ single, byId }: Values, key: string, id: string): unknown =>
  id === '' ? single.get(key) : byId.get(key)?.get(id)

const entriesOf = ({ single, byId }: Values, key: string): [id: string, value: unknown][] => {
  const entries = [...(byId.get(key) ?? [])]
  const value = single.get(key)
  if (value !== undefined) entries.push(['', value])
  return entries
}

const setOrDelete = (map: Map<string, unknown>, key: string, value: unknown): void => {
  if (value === undefined) map.delete(key)
  else map.set(key, value)
}

const ofKey = (byId: Map<string, Map<string, unknown>>, key: string): Map<string, unknown> => {
  const known = byId.get(key)
  if (known !== undefined) return known
  const values = new Map<string, unknown>()
  byId.set(key, values)
  return values
}
