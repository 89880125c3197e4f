import { requestJson, serverAt, uploadPath } from './requests.ts'
import type { WaitOptions } from './wait-until-complete.ts'

/** One upload of an author, as lists have it. */
export interface UploadSummary {
  readonly uploadId: string
  readonly videoId: string
  readonly title: string
  readonly status: 'open' | 'completed' | 'aborted'
  /** Null while the length is not known. */
  readonly sizeBytes: number | null
  readonly partSizeBytes: number
  readonly partCount: number | null
  readonly storedParts: number
  readonly storedBytes: number
  /** ISO 8601. */
  readonly createdAt: string
  /** ISO 8601. */
  readonly expiresAt: string
  /** Why it was aborted. */
  readonly code: string | null
  readonly detail: string | null
}

interface UploadsPage {
  readonly items: readonly UploadSummary[]
  readonly nextCursor: string | null
}

export interface ListOptions extends Omit<WaitOptions, 'gatewayUrl'> {
  /** Base URL of the API, which knows authors alone. */
  readonly apiUrl: string
  readonly status?: UploadSummary['status'] | undefined
}

const PAGE = 100

/** Every upload of the token's author, newest first, asked for page by page as they are taken. @throws UploadError */
export async function* listUploads(options: ListOptions): AsyncGenerator<UploadSummary> {
  const { apiUrl, signal, status } = options
  const server = serverAt(apiUrl, options)
  for (let cursor: string | null = ''; cursor !== null; ) {
    const query = new URLSearchParams({ limit: String(PAGE) })
    if (status !== undefined) query.set('status', status)
    if (cursor !== '') query.set('cursor', cursor)
    const page: UploadsPage = await requestJson<UploadsPage>(server, `/uploads?${query}`, { signal })
    yield* page.items
    cursor = page.nextCursor
  }
}

/**
 * Asks for the upload to be given up. It is when the log says so (waitUntilClosed): one that completes at the same moment
 * may win. @throws UploadError UPLOAD_NOT_FOUND, FORBIDDEN, UPLOAD_CLOSED when it is complete …
 */
export const abortUpload = async (uploadId: string, options: WaitOptions): Promise<void> => {
  const { gatewayUrl, signal } = options
  await requestJson(serverAt(gatewayUrl, options), uploadPath(uploadId), { method: 'DELETE', signal })
}
