import { UploadError } from './errors.ts'
import { type RecordedUpload, recordedUpload, type UploadStatus, uploadStatus } from './recorded-upload.ts'
import type { Server } from './requests.ts'
import type { PartFacts } from './send-part.ts'
import { askUntil, createPauses, isClosed } from './wait-until-complete.ts'
import { missingFrom, WantedParts } from './wanted-parts.ts'

/** An upload of which every part has been sent. */
export interface SentUpload {
  /** The gateway, with the upload token. */
  readonly server: Server
  readonly uploadId: string
  /** Every part of the source, by its number. */
  readonly facts: ReadonlyMap<number, PartFacts>
  /** What was recorded before any of them was sent. */
  readonly before: Pick<RecordedUpload, 'parts' | 'rejections'>
  /** Once the server wanted a part again, how often to look for others that it wants, too. */
  readonly lookAgainMs: number
  readonly signal: AbortSignal
}

/**
 * Waits until the upload is complete or aborted. On the way the server may find in S3 that parts are not what was reported,
 * and want them again: those are given to `sendAgain`, which resolves when they are reported.
 * @throws UploadError, and what `sendAgain` throws
 */
export const untilClosed = async (
  { server, uploadId, facts, before, lookAgainMs, signal }: SentUpload,
  sendAgain: (parts: readonly PartFacts[]) => Promise<void>,
): Promise<UploadStatus> => {
  const wanted = new WantedParts(before.rejections, missingFrom(before.parts, facts))
  const ask = (): Promise<UploadStatus> => uploadStatus(server, uploadId, signal)
  const isEnough = (now: UploadStatus): boolean => isClosed(now) || now.rejections > wanted.rejections
  let nextPause = createPauses(signal)
  for (;;) {
    const now = await askUntil(isEnough, ask, lookAgainMs, nextPause)
    if (isClosed(now)) return now
    const again = now.rejections === 0 ? [] : wanted.take(await recordedUpload(server, uploadId, signal), facts)
    if (again.length === 0) continue
    await sendAgain(again)
    nextPause = createPauses(signal)
  }
}

/** Closed meanwhile: by its completion, if another client sent the rest. Then waiting for it says so. */
export const unlessClosed = async (work: () => Promise<void>): Promise<void> => {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof UploadError && error.code === 'UPLOAD_CLOSED')) throw error
  }
}
