import { requestJson, type Server, uploadPath } from './requests.ts'
import type { PartFacts } from './send-part.ts'

/** What the log has of an upload, apart from its parts. Perhaps a moment behind. */
export interface UploadStatus {
  readonly status: 'open' | 'completed' | 'aborted'
  /** Why it was aborted. */
  readonly code: string | null
  readonly detail: string | null
  /** Null while it is not known. */
  readonly sizeBytes: number | null
  /** How often the server compared the parts with S3 and wanted some again. */
  readonly rejections: number
}

export interface RecordedUpload extends UploadStatus {
  /** By part number. */
  readonly parts: ReadonlyMap<number, PartFacts>
}

/** As many as the gateway gives at a time. */
const PAGE = 1000

interface PartsPage extends UploadStatus {
  readonly parts: readonly PartFacts[]
  readonly nextPart: number | null
}

/**
 * Both at the gateway, which takes the upload token: it lives as long as the upload, which the author's need not.
 * @throws UploadError
 */
export const uploadStatus = (
  server: Server,
  uploadId: string,
  signal: AbortSignal | undefined,
): Promise<UploadStatus> => partsPage(server, uploadId, 0, 1, signal)

/**
 * With its parts. While it is open they are a hint: the list may be behind, and says nothing about the file that is at
 * hand now, so each part is compared with the bytes before it is believed. Of a complete upload they are the object.
 */
export const recordedUpload = async (
  server: Server,
  uploadId: string,
  signal: AbortSignal,
): Promise<RecordedUpload> => {
  const parts = new Map<number, PartFacts>()
  for (let afterPart = 0; ; ) {
    const page = await partsPage(server, uploadId, afterPart, PAGE, signal)
    for (const part of page.parts) parts.set(part.partNumber, part)
    if (page.nextPart === null) return { ...page, parts }
    afterPart = page.nextPart
  }
}

const partsPage = (
  server: Server,
  uploadId: string,
  afterPart: number,
  limit: number,
  signal: AbortSignal | undefined,
) => requestJson<PartsPage>(server, `${uploadPath(uploadId)}/parts?afterPart=${afterPart}&limit=${limit}`, { signal })
