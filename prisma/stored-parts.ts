import { type Database, Prisma } from './client.ts'

/**
 * What is stored of an upload, for the gateway, the reconciler and the API, which must not count differently: the parts
 * that are recorded, and were not rejected since. Run the queries with `reading`.
 */
export interface StoredParts {
  readonly parts: number
  readonly bytes: number
}

export const storedPartsOf = (videoId: string) => ({ videoId, code: null }) satisfies Prisma.UploadPartWhereInput

const sumOf = (videoId: Prisma.Sql): Prisma.Sql => Prisma.sql`
  SELECT count(*)::int AS parts, coalesce(sum(p.size_bytes), 0)::float8 AS bytes
    FROM read.upload_parts p WHERE p.video_id = ${videoId} AND p.code IS NULL`

export const sumStoredParts = async (db: Database, videoId: string): Promise<StoredParts> => {
  const [row] = await db.$queryRaw<StoredParts[]>(sumOf(Prisma.sql`${videoId}`))
  return row ?? NOTHING
}

/**
 * Joins `stored`, a StoredParts, to each row `u` of read.uploads.
 * @param isWanted a condition on `u`: of other rows nothing is read, and the sum is 0
 */
export const joinStoredParts = (isWanted: Prisma.Sql): Prisma.Sql =>
  Prisma.sql`CROSS JOIN LATERAL (${sumOf(Prisma.sql`u.video_id`)} AND ${isWanted}) stored`

interface UploadState {
  readonly status: string
  readonly sizeBytes: bigint | null
  readonly partCount: number | null
}

/**
 * Of an upload in any state: a completed one has all of its parts, an aborted one has none any more.
 * @param counted of an open one
 */
export const storedOf = ({ status, sizeBytes, partCount }: UploadState, counted: StoredParts): StoredParts => {
  if (status === 'open') return counted
  return status === 'completed' ? { parts: partCount ?? 0, bytes: Number(sizeBytes ?? 0) } : NOTHING
}

/** As storedOf, counting where that is needed. */
export const countStoredOf = async (db: Database, upload: Prisma.UploadModel): Promise<StoredParts> =>
  storedOf(upload, upload.status === 'open' ? await sumStoredParts(db, upload.videoId) : NOTHING)

const NOTHING: StoredParts = { parts: 0, bytes: 0 }
