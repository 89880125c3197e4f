import { setTimeout as sleep } from 'node:timers/promises'
import { type Database, Prisma } from '../../prisma/client.ts'
import { reading } from '../../prisma/reading.ts'
import { joinStoredParts, storedPartsOf, sumStoredParts } from '../../prisma/stored-parts.ts'
import type { Visibility } from '../../schemas/generated.ts'
import type { StoredPart } from '../part-claim.ts'
import type { RecordedUpload, UploadReads } from './upload-reads.ts'

/**
 * UploadReads on the read models of video-catalogue.
 * @param timeoutMs a database that is silent for longer is away
 */
export const prismaUploadReads = (
  database: Database,
  { timeoutMs = READ_TIMEOUT_MS }: { readonly timeoutMs?: number } = {},
): UploadReads => {
  const asking = <T>(query: () => Promise<T>) => readWithin(timeoutMs, query)
  return {
    findUpload: (videoId) =>
      asking(async () => {
        const row = await database.upload.findUnique({ where: { videoId } })
        if (row === null) return null
        return {
          videoId,
          authorId: row.authorId,
          status: row.status as RecordedUpload['status'],
          code: row.code,
          detail: row.detail,
          s3UploadId: row.s3UploadId,
          bucket: row.bucket,
          objectKey: row.objectKey,
          contentType: row.contentType,
          partSizeBytes: Number(row.partSizeBytes),
          partCount: row.partCount,
          sizeBytes: row.sizeBytes === null ? null : Number(row.sizeBytes),
          expiresAtMs: row.expiresAt.getTime(),
          rejections: row.rejections,
        }
      }),

    findParts: (videoId, after, limit) =>
      asking(async () => {
        const where = { ...storedPartsOf(videoId), partNumber: { gt: after } }
        const rows = await database.uploadPart.findMany({ where, orderBy: { partNumber: 'asc' }, take: limit })
        return rows.map(storedPart)
      }),

    findPartsAmong: (videoId, partNumbers) =>
      asking(async () => {
        const where = { ...storedPartsOf(videoId), partNumber: { in: [...partNumbers] } }
        return (await database.uploadPart.findMany({ where })).map(storedPart)
      }),

    sumParts: (videoId) => asking(() => sumStoredParts(database, videoId)),

    openUploads: (authorId) =>
      asking(async () => {
        const [row] = await database.$queryRaw<{ uploads: number; bytes: number }[]>`
        SELECT count(*)::int AS uploads, coalesce(sum(coalesce(u.size_bytes, stored.bytes)), 0)::float8 AS bytes
          FROM read.uploads u ${joinStoredParts(Prisma.sql`u.size_bytes IS NULL`)}
         WHERE u.author_id = ${authorId} AND u.status = 'open'`
        return row ?? { uploads: 0, bytes: 0 }
      }),

    findVideo: (videoId) =>
      asking(async () => {
        const row = await database.video.findUnique({ where: { id: videoId } })
        if (row === null) return null
        const { authorId, revision, status, title, description, author, tags, metadata } = row
        const visibility = row.visibility as Visibility
        const details = {
          title,
          description,
          author,
          tags,
          visibility,
          metadata: metadata === null ? null : JSON.stringify(metadata),
        }
        return { authorId, revision, status, details }
      }),

    async waitForOutcome(claimId, patienceMs) {
      const deadlineMs = performance.now() + patienceMs
      for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 1.5, MAX_PAUSE_MS)) {
        const row = await asking(() => database.outcome.findUnique({ where: { claimId } }))
        if (row !== null) return { code: row.code, detail: row.detail }
        if (performance.now() + pauseMs > deadlineMs) return null
        await sleep(pauseMs)
      }
    },
  }
}

interface PartRow {
  readonly partNumber: number
  readonly sizeBytes: bigint
  readonly checksum: string
  readonly etag: string
}

const storedPart = ({ partNumber, sizeBytes, checksum, etag }: PartRow): StoredPart => ({
  partNumber,
  sizeBytes: Number(sizeBytes),
  checksumSha256: checksum,
  etag,
})

/** A claim is usually folded within 50 ms; a pipeline that is behind is not helped by asking often. */
const FIRST_PAUSE_MS = 15
const MAX_PAUSE_MS = 250

/** A database that is silent is away too; its answer, should it come, is of no use any more. */
const READ_TIMEOUT_MS = 5_000

const readWithin = async <T>(timeoutMs: number, query: () => Promise<T>): Promise<T> => {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs)
  try {
    return await reading(() => Promise.race([query(), late.promise]))
  } finally {
    clearTimeout(timer)
  }
}
