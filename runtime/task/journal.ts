import type { Codec } from '../codec/avro.ts'
import type { OutputRecord } from '../kafka/log-records.ts'
import type { StateShape } from '../processor.ts'
import { type ChangelogRecord, type Entry, toRecord } from './changelog.ts'
import { withinLimit } from './step.ts'

/** What one transaction of a task writes. */
export interface Batch {
  readonly outputs: readonly OutputRecord[]
  readonly changelog: readonly ChangelogRecord[]
}

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

  write(entry: Entry): void {
    this.put(this.encode(entry))
  }

  /** Throws BugError RECORD_TOO_LARGE: a step encodes all it writes before anything is put. */
  encode(entry: Entry): ChangelogRecord {
    const record = this.recordOf(entry)
    if (record.value !== null) withinLimit(record.value, 'an entry')
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
