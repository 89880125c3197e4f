import type { BlockedKey, QueuedInput } from '../state/generated.ts'

/**
 * Keys on which a handler failed, each with what waits behind the failure, in order. A handler is pure, so trying again
 * would fail again: the key waits for other code, or for an operator, while all other keys flow.
 */
export interface Queued {
  readonly sequence: number
  readonly input: QueuedInput
}

/**
 * What the blocked keys of a task may hold before it takes no more records, bytes. What effects say is taken all the same:
 * there is no more of it than those have left that were running when their key was blocked, for others do not begin.
 */
export const BLOCKED_BYTES_LIMIT = 8 * 1024 * 1024

export class BlockedKeys {
  readonly #keys = new Map<string, BlockedKey>()
  readonly #queues = new Map<string, Map<number, QueuedInput>>()
  #nextSequence = 1
  #bytes = 0

  get size(): number {
    return this.#keys.size
  }

  /** No room for another record: the task goes on when an operator has made some. */
  get isFull(): boolean {
    return this.#bytes >= BLOCKED_BYTES_LIMIT
  }

  has(key: string): boolean {
    return this.#keys.has(key)
  }

  get(key: string): BlockedKey | undefined {
    return this.#keys.get(key)
  }

  entries(): readonly (readonly [key: string, blocked: BlockedKey])[] {
    return [...this.#keys]
  }

  /** Of what is blocked, and of what waits: a changelog that lost entries may hold the one without the other. */
  keys(): ReadonlySet<string> {
    return new Set([...this.#keys.keys(), ...this.#queues.keys()])
  }

  queue(key: string): readonly Queued[] {
    return [...(this.#queues.get(key) ?? [])]
      .map(([sequence, input]) => ({ sequence, input }))
      .sort((a, b) => a.sequence - b.sequence)
  }

  /** Whether the outcome of the effect waits with its key. */
  holdsOutcome(key: string, effectId: string): boolean {
    return this.queue(key).some(({ input: { kind, causeId } }) => kind === 'OUTCOME' && causeId === effectId)
  }

  /** Everything that waits, of all keys. */
  *inputs(): Generator<QueuedInput> {
    for (const queue of this.#queues.values()) yield* queue.values()
  }

  block(key: string, blocked: BlockedKey): void {
    this.#keys.set(key, blocked)
  }

  unblock(key: string): void {
    this.#keys.delete(key)
  }

  enqueue(key: string, input: QueuedInput): number {
    const sequence = this.#nextSequence
    this.put(key, sequence, input)
    return sequence
  }

  put(key: string, sequence: number, input: QueuedInput): void {
    const queue = this.#queues.get(key) ?? new Map<number, QueuedInput>()
    this.#queues.set(key, queue.set(sequence, input))
    this.#nextSequence = Math.max(this.#nextSequence, sequence + 1)
    this.#bytes += sizeOf(input)
  }

  remove(key: string, sequence: number): void {
    const queue = this.#queues.get(key)
    const input = queue?.get(sequence)
    if (queue === undefined || input === undefined) return
    queue.delete(sequence)
    this.#bytes -= sizeOf(input)
    if (queue.size === 0) this.#queues.delete(key)
  }
}

const OVERHEAD_BYTES = 100
const sizeOf = ({ value, headers }: QueuedInput): number =>
  Object.entries(headers).reduce((bytes, [name, text]) => bytes + name.length + text.length, OVERHEAD_BYTES) +
  (value?.length ?? 0)
