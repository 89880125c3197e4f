import type { Database } from './client.ts'

/** Of the parts of an upload that are recorded, and were not rejected since. */
export interface StoredParts {
  readonly parts: number
  readonly bytes: number
}

/** For the gateway and the API, which must not count differently. Run it with `reading`. */
export const sumStoredParts = async (db: Database, videoId: string): Promise<StoredParts> => {
  const where = { videoId, code: null }
  const { _count, _sum } = await db.uploadPart.aggregate({ where, _count: true, _sum: { sizeBytes: true } })
  return { parts: _count, bytes: Number(_sum.sizeBytes ?? 0) }
}
