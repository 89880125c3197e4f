/**
 * The upload client: the same code in browsers and in Node, without a dependency.
 *
 *     const upload = createUpload(file, { gatewayUrl, token, details: { title: 'Holiday' } })
 *     upload.on('progress', ({ sentBytes, totalBytes, rateBps, etaMs }) => …)
 *     const { videoId, watchUrl } = await upload.done
 *     await followVideo(videoId, (event) => …, { apiUrl, token, signal })
 *
 * A file goes in parts, several at a time, straight to S3: the gateway only signs. Every part is hashed here and
 * checked by S3 before it counts, so a bit that flips on the way is noticed and the part sent again. Network faults,
 * 5xx answers and expired signatures are repeated with back-off; the create carries one Idempotency-Key, so repeating
 * it never makes a second video. Progress counts bytes as they leave. Memory: parts in flight × part size, however
 * large the file.
 *
 * Needs fetch and crypto.subtle: in browsers a secure context (https, or localhost).
 */

export { UploadError } from './errors.ts'
export { type FollowOptions, followVideo, type VideoEvent } from './follow-video.ts'
export type { UploadProgress } from './progress.ts'
export type { CompletedUpload, UploadDetails, UploadSource } from './types.ts'
export { createUpload, type Upload, type UploadEvents, type UploadOptions, type UploadState } from './upload.ts'
export { type WaitOptions, waitUntilComplete } from './wait-until-complete.ts'
