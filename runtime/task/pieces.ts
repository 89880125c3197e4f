import { MAX_RECORD_BYTES } from '../kafka/log-records.ts'
import { type ChangelogRecord, pieceKey, pieceOf } from './changelog.ts'

/**
 * Records of the changelog that no single record holds, cut into several. What waits with a blocked key is as large as
 * what was read, and more: the records of other producers may have more than we write ourselves, and packed ones much
 * more. The pieces are written and removed in one transaction each, so that all are there or none is.
 */
export class Pieces {
  /** By key of the record. What was read of it is kept until it is whole. */
  readonly #cut = new Map<string, { readonly of: number; readonly read: Map<number, Buffer> }>()

  /** The record as it is written: itself, when it fits. */
  cut(record: ChangelogRecord): readonly ChangelogRecord[] {
    const { key, value } = record
    if (value === null || value.length <= MAX_RECORD_BYTES) return [record]
    const of = Math.ceil(value.length / MAX_RECORD_BYTES)
    this.#cut.set(key, { of, read: new Map() })
    return Array.from({ length: of }, (_, n) => ({
      key: pieceKey(key, n, of),
      value: value.subarray(n * MAX_RECORD_BYTES, (n + 1) * MAX_RECORD_BYTES),
    }))
  }

  /** A record that was read: itself, or, with the last of its pieces, the one that was cut. Null: others are missing. */
  join(record: ChangelogRecord): ChangelogRecord | null {
    const piece = pieceOf(record)
    if (piece === null) return record
    const { key, n, of } = piece
    if (record.value === null) {
      this.#cut.delete(key)
      return { key, value: null }
    }
    const { read } = this.#cut.get(key) ?? { read: new Map<number, Buffer>() }
    this.#cut.set(key, { of, read: read.set(n, record.value) })
    if (read.size < of) return null
    return { key, value: Buffer.concat(Array.from({ length: of }, (_, i) => read.get(i) as Buffer)) }
  }

  /** The joined record was understood: its bytes are kept elsewhere. */
  joined(key: string): void {
    this.#cut.get(key)?.read.clear()
  }

  /** Tombstones of the pieces of a record; none when it was not cut. */
  remove(key: string): readonly ChangelogRecord[] {
    const of = this.#cut.get(key)?.of ?? 0
    this.#cut.delete(key)
    return Array.from({ length: of }, (_, n) => ({ key: pieceKey(key, n, of), value: null }))
  }

  /** Tombstones of all pieces, one by one as they are asked for. */
  *clear(): Generator<ChangelogRecord> {
    for (const key of this.#cut.keys()) yield* this.remove(key)
  }
}
