/**
 * The upload client: the same code in browsers and in Node, without a dependency.
 *
 *     const upload = createUpload(file, { gatewayUrl, token, details: { title: 'Holiday' }, memory })
 *     upload.on('progress', ({ sentBytes, totalBytes, rateBps, etaMs }) => …)
 *     const { videoId, watchUrl } = await upload.done
 *     await followVideo(videoId, (event) => …, { apiUrl, token, signal })
 *
 * A file goes in parts, several at a time, straight to S3: the gateway only signs. How many at a time is found by trying.
 * Every part is hashed here, off the main thread, and checked by S3 before it counts, so a bit that flips on the way is
 * noticed and the part sent again. Network faults, 5xx answers, silence and expired signatures are repeated with
 * back-off; the create carries one Idempotency-Key, so repeating it never makes a second video.
 *
 * Whatever ends it (the page is closed, the process dies), `createUpload` with the same file and the same memory goes on
 * where it was: the memory finds the key, the server says which parts it has, and those whose checksum is that of the
 * bytes at hand are not sent again. A connection has at most one part to send again. docs/uploads.md
 *
 * A stream of unknown length goes as its bytes come, and is sealed at its end. Progress counts bytes as they leave.
 * Memory: parts in flight × part size, at most `inFlightBytes` (256 MiB) or one part, however large the file, and what
 * crypto.subtle copies of a part while it hashes.
 *
 * Needs fetch and crypto.subtle: in browsers a secure context (https, or localhost).
 */

export { UploadError } from './errors.ts'
export { fingerprintOf, type Identified } from './fingerprint.ts'
export { type FollowOptions, followVideo, type VideoEvent } from './follow-video.ts'
export { hasExpired, isOpenUpload, type OpenUpload, storageMemory, type UploadMemory } from './memory.ts'
export type { UploadProgress } from './progress.ts'
export { isUploadSource } from './source-parts.ts'
export type {
  CompletedUpload,
  CreatedUpload,
  ReadSource,
  SlicedSource,
  UploadDetails,
  UploadResult,
  UploadSource,
} from './types.ts'
export { createUpload, type Upload, type UploadEvents, type UploadOptions, type UploadState } from './upload.ts'
export { abortUpload, type ListOptions, listUploads, type UploadSummary } from './uploads.ts'
export {
  type UploadOutcome,
  type WaitOptions,
  waitUntilClosed,
  waitUntilComplete,
} from './wait-until-complete.ts'
