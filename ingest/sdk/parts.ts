/**
 * The pieces of the client, for a page that has an uploader of its own (docs/examples/uppy). Whoever has none wants
 * `createUpload` of index.ts, which is made of them:
 *
 *     const server = serverAt(gatewayUrl, { token })
 *     const begun = await beginUpload({ server, memory, fingerprint, … })          new, or the one that is remembered
 *     const holder = serverAt(gatewayUrl, { token: begun.uploadToken })            the author is not needed any more
 *     const before = await recordedUpload(holder, begun.uploadId, signal)          what is stored, unless begun.isNew
 *     const part = await preparePart({ partNumber, bytes })                        hashed
 *     const { url, headers } = await sender.sign(part)                             PUT it with exactly these headers
 *     await sender.report({ ...part, etag })                                       now it is recorded
 *     await untilClosed({ server: holder, facts, before, … }, sendAgain)           complete, or aborted and why
 *
 * A part is believed to be stored when its length and checksum are those of the bytes at hand (`isSamePart`).
 */
export { beginUpload, type UploadAnswer } from './begin-upload.ts'
export { preparePart } from './part-reader.ts'
export { putBytesWith } from './put-bytes.ts'
export { type RecordedUpload, recordedUpload } from './recorded-upload.ts'
export { requestJson, type Server, serverAt, uploadPath } from './requests.ts'
export { retrying } from './retry.ts'
export { createPartSender, isSamePart, type PartFacts, type PartSender } from './send-part.ts'
export { unlessClosed, untilClosed } from './until-closed.ts'
export { failureOf } from './wait-until-complete.ts'
