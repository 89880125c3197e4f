import type { RecordedVideoEvent } from './video.ts'

/** Columns of `Upload` in prisma/schema.prisma. */
export interface UploadRow {
  readonly videoId: string
  readonly authorId: string
  readonly s3UploadId: string
  readonly bucket: string
  readonly objectKey: string
  readonly contentType: string
  readonly partSizeBytes: number
  readonly partCount: number | null
  readonly sizeBytes: number | null
  readonly checksumAlgorithm: string
  readonly status: 'open' | 'completed' | 'aborted'
  readonly code: string | null
  readonly detail: string | null
  readonly rejections: number
  readonly expiresAt: string
  readonly createdAt: string
  readonly updatedAt: string
  readonly version: number
}

/** Columns of `UploadPart`. */
export interface UploadPartRow {
  readonly videoId: string
  readonly partNumber: number
  readonly sizeBytes: number
  readonly etag: string
  readonly checksum: string
  readonly code: string | null
  readonly version: number
}

/** The upload after the fact. It begins once, ends once (completed or aborted), and nothing changes it afterwards. */
export const evolveUpload = (upload: UploadRow | undefined, event: RecordedVideoEvent): UploadRow | undefined => {
  if (upload === undefined) return event.type === 'UploadStarted' ? begun(event) : undefined
  if (upload.status !== 'open') return upload
  const change = changeBy(upload, event)
  return change === undefined ? upload : { ...upload, ...change, updatedAt: event.recordedAt, version: event.offset }
}

/**
 * Last wins per part number, as long as the upload is open. A rejection names the report that it is about: when a newer
 * one came before it, that one stands.
 */
export const evolvePart = (
  part: UploadPartRow | undefined,
  upload: UploadRow | undefined,
  event: RecordedVideoEvent,
): UploadPartRow | undefined => {
  if (upload?.status !== 'open') return part
  if (event.type === 'PartUploaded') {
    const { partNumber, sizeBytes, etag, checksum } = event.data
    return { videoId: event.key, partNumber, sizeBytes, etag, checksum, code: null, version: event.offset }
  }
  if (event.type !== 'PartRejected' || part === undefined) return part
  const isMeant = part.etag === event.data.etag && part.checksum === event.data.checksum
  return isMeant ? { ...part, code: event.data.code, version: event.offset } : part
}

const changeBy = (upload: UploadRow, event: RecordedVideoEvent): Partial<UploadRow> | undefined => {
  switch (event.type) {
    case 'UploadSealed':
      return upload.partCount === null
        ? { partCount: event.data.partCount, sizeBytes: event.data.sizeBytes }
        : undefined
    case 'PartRejected':
      return event.data.rejection > upload.rejections ? { rejections: event.data.rejection } : undefined
    case 'UploadCompleted':
      return { status: 'completed', sizeBytes: event.data.sizeBytes }
    case 'UploadAborted':
      return { status: 'aborted', code: event.data.code, detail: event.data.detail }
    case 'VideoDeleted':
      return { status: 'aborted', code: 'VIDEO_DELETED', detail: 'The video was deleted while it was being uploaded.' }
    default:
      return undefined
  }
}

const begun = (event: Extract<RecordedVideoEvent, { type: 'UploadStarted' }>): UploadRow => {
  const { details: _written, sealedDetails: _sealed, expiresAtMs, ...upload } = event.data
  return {
    ...upload,
    videoId: event.key,
    status: 'open',
    code: null,
    detail: null,
    rejections: 0,
    expiresAt: new Date(expiresAtMs).toISOString(),
    createdAt: event.recordedAt,
    updatedAt: event.recordedAt,
    version: event.offset,
  }
}
