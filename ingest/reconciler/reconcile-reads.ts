import type { Database } from '../../prisma/client.ts'
import { reading } from '../../prisma/reading.ts'
import { storedPartsOf } from '../../prisma/stored-parts.ts'
import type { OpenUpload, RecordedGeneration, RecordedUpload, RecordedVideo } from './decide.ts'

/** What the reconciler asks of the read models. Every method throws UpstreamError DATABASE_UNAVAILABLE (retryable). */
export interface ReconcileReads {
  /** By video id; what nothing is recorded of is not in it. */
  videos(videoIds: readonly string[]): Promise<ReadonlyMap<string, RecordedVideo>>
  /** The next open uploads in the order of their ids. */
  openUploads(afterVideoId: string, limit: number): Promise<readonly OpenUpload[]>
  /** Numbers of the parts that are recorded. */
  partNumbers(videoId: string): Promise<ReadonlySet<number>>
  /** Up to where each partition of video-events has been folded: the offset of the first record that was not. */
  foldedUpTo(): Promise<ReadonlyMap<number, bigint>>
}

export const prismaReconcileReads = (database: Database): ReconcileReads => ({
  videos: (videoIds) =>
    reading(async () => {
      const where = { id: { in: [...videoIds] } }
      const rows = await database.video.findMany({ where, include: { upload: true } })
      return new Map(
        rows.map(({ id, status, updatedAt, upload, generations }) => [
          id,
          {
            status,
            updatedAtMs: updatedAt.getTime(),
            upload: upload && {
              s3UploadId: upload.s3UploadId,
              status: upload.status as RecordedUpload['status'],
              updatedAtMs: upload.updatedAt.getTime(),
            },
            generations: generationsIn(generations as unknown as GenerationsColumn),
          },
        ]),
      )
    }),

  openUploads: (afterVideoId, limit) =>
    reading(async () => {
      const where = { status: 'open', videoId: { gt: afterVideoId } }
      const rows = await database.upload.findMany({ where, orderBy: { videoId: 'asc' }, take: limit })
      return rows.map(
        ({ videoId, bucket, objectKey, s3UploadId, partSizeBytes, partCount, sizeBytes, rejections }) => ({
          videoId,
          bucket,
          objectKey,
          s3UploadId,
          partSizeBytes: Number(partSizeBytes),
          partCount,
          sizeBytes: sizeBytes === null ? null : Number(sizeBytes),
          rejections,
        }),
      )
    }),

  partNumbers: (videoId) =>
    reading(async () => {
      const rows = await database.uploadPart.findMany({ where: storedPartsOf(videoId), select: { partNumber: true } })
      return new Set(rows.map(({ partNumber }) => partNumber))
    }),

  foldedUpTo: () =>
    reading(async () => {
      const where = { projection: 'video-catalogue', topic: 'video-events' }
      const rows = await database.position.findMany({ where })
      return new Map(rows.map(({ partition, nextOffset }) => [partition, nextOffset]))
    }),
})

/** As video-catalogue folds it, by generation. */
type GenerationsColumn = Readonly<Record<string, { readonly revision: number }>>

const generationsIn = (column: GenerationsColumn): readonly RecordedGeneration[] =>
  Object.entries(column).map(([generation, { revision }]) => ({ generation: Number(generation), revision }))
