import type { LogRecord } from '../kafka/log-records.ts'
import type { HeldOutput } from '../state/generated.ts'
import { type Attempts, COMMIT_REJECTED } from './attempts.ts'
import type { Failures } from './failures.ts'
import type { Journal } from './journal.ts'
import type { TaskMemory } from './task-memory.ts'

interface Parts {
  readonly attempts: Attempts
  readonly memory: TaskMemory
  readonly journal: Journal
  readonly failures: Failures
}

/**
 * Events that a replay would emit and the log does not hold, on their way out. One that the log refuses stays where it is,
 * and so do those of its key behind it: the key is blocked, and they are in front of whatever else waits with it.
 */
export class HeldOutputs {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Emits up to so many of those that wait for nothing, in their order. False: some are left. */
  release(limit: number, nowMs: number): boolean {
    const { attempts, memory } = this.#parts
    let left = limit
    for (const [outputId, output] of inOrder(memory.held)) {
      if (isRefusedKey(memory, output.key)) continue
      if (left === 0 || !attempts.hasRoom) return false
      if (this.#emit(outputId, output, nowMs)) left -= 1
    }
    return true
  }

  /** Whether events of the key wait because one of them was refused. */
  isRefused(key: string): boolean {
    const { memory } = this.#parts
    return isRefusedKey(memory, key) && [...memory.held.values()].some((output) => output.key === key)
  }

  /** Emits those of a blocked key. `refused`: up to one that was refused again. `full`: as many as the batch takes. */
  retry(key: string, nowMs: number): 'done' | 'refused' | 'full' {
    const { attempts, memory } = this.#parts
    for (const [outputId, output] of inOrder(memory.held)) {
      if (output.key !== key) continue
      if (!attempts.hasRoom) return 'full'
      if (!this.#emit(outputId, output, nowMs)) return 'refused'
    }
    return 'done'
  }

  /** Takes the first of the key away, for the dead letters; undefined when there is none. */
  takeFirst(key: string, nowMs: number): LogRecord | undefined {
    const found = inOrder(this.#parts.memory.held).find(([, output]) => output.key === key)
    if (found === undefined) return undefined
    const [outputId, { topic, partition, value, headers }] = found
    this.#drop(outputId)
    return { topic, partition: partition ?? -1, offset: -1n, timestampMs: nowMs, key, value, headers }
  }

  #emit(outputId: string, output: HeldOutput, nowMs: number): boolean {
    const { attempts, journal, failures } = this.#parts
    const { topic, partition, key, value, headers } = output
    const rejection = attempts.begin({ kind: 'held', outputId })
    if (rejection !== null) {
      failures.block(key, rejection, nowMs, { outputId, topic })
      return false
    }
    journal.emit({ topic, key, value, headers, ...(partition === null ? {} : { partition }) })
    this.#drop(outputId)
    return true
  }

  #drop(outputId: string): void {
    this.#parts.memory.held.delete(outputId)
    this.#parts.journal.write({ kind: 'held', outputId, value: null })
  }
}

/** Events of a blocked key that wait because the first of them was refused, in their order. */
export const refusedOutputs = (memory: TaskMemory, key: string): readonly HeldOutput[] => {
  if (!isRefusedKey(memory, key)) return []
  return inOrder(memory.held).flatMap(([, output]) => (output.key === key ? [output] : []))
}

const isRefusedKey = ({ blocked }: TaskMemory, key: string): boolean => blocked.get(key)?.code === COMMIT_REJECTED

const inOrder = (held: ReadonlyMap<string, HeldOutput>): readonly (readonly [string, HeldOutput])[] =>
  [...held].sort(([, a], [, b]) => a.sequence - b.sequence)
