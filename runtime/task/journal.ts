import type { Codec } from '../codec/avro.ts'
import { MAX_RECORD_BYTES, type OutputRecord } from '../kafka/log-records.ts'
import type { StateShape } from '../processor.ts'
import { type ChangelogRecord, type Entry, toRecord } from './changelog.ts'
import { withinLimit } from './step.ts'

/** What one transaction of a task writes. */
export interface Batch {
  readonly outputs: readonly OutputRecord[]
  readonly changelog: readonly ChangelogRecord[]
}

/**
 * Largest entry that holds more than a handler gave, bytes: what fits a record must fit with the causes, headers and counts
 * that are kept beside it. Topics take 1,048,588.
 */
const MAX_ENTRY_BYTES = 1_000_000

/** Collects what the steps of a task write until the next commit. Of one changelog entry only the last value counts. */
export class Journal {
  readonly #codec: Codec
  readonly #shape: StateShape
  #outputs: OutputRecord[] = []
  #changelog = new Map<string, ChangelogRecord>()
  #bytes = 0

  constructor(codec: Codec, shape: StateShape) {
    this.#codec = codec
    this.#shape = shape
  }

  /** Records that the next batch will hold. */
  get records(): number {
    return this.#outputs.length + this.#changelog.size
  }

  /** Bytes of values written since the last batch: at least those that the next one will hold. */
  get bytes(): number {
    return this.#bytes
  }

  /** An entry that fits: one of a bounded size, or one that fitted before with other counts. */
  write(entry: Entry): void {
    this.put(this.recordOf(entry))
  }

  /** Throws BugError RECORD_TOO_LARGE: a step encodes all it writes before anything is put. */
  encode(entry: Entry): ChangelogRecord {
    const record = this.recordOf(entry)
    const limitBytes = entry.kind === 'state' ? MAX_RECORD_BYTES : MAX_ENTRY_BYTES
    if (record.value !== null) withinLimit(record.value, 'an entry', limitBytes)
    return record
  }

  /** As large as it is: for whoever sees to it that it fits. */
  recordOf(entry: Entry): ChangelogRecord {
    return toRecord(entry, this.#codec, this.#shape)
  }

  put(record: ChangelogRecord): void {
    this.#changelog.set(record.key, record)
    this.#bytes += record.value?.length ?? 0
  }

  emit(output: OutputRecord): void {
    this.#outputs.push(output)
    this.#bytes += output.value?.length ?? 0
  }

  take(): Batch {
    const batch = { outputs: this.#outputs, changelog: [...this.#changelog.values()] }
    this.#outputs = []
    this.#changelog = new Map()
    this.#bytes = 0
    return batch
  }
}
