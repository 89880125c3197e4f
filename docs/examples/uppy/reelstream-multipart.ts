/**
 * Uppy's S3 plugin (@uppy/aws-s3 5) with a Reelstream gateway in the place of Companion: parts go in parallel straight to
 * S3, each hashed here and refused by S3 if a bit of it is not as it was hashed.
 *
 *     const uppy = new Uppy().use(AwsS3, reelstreamMultipart(uppy, { gatewayUrl, token }))
 *
 * Uppy cuts a file and sends its parts; all else is what our SDK does, with its own pieces (ingest/sdk/parts.ts). Uppy cuts
 * before anybody asks the server how, and the gateway takes only the parts of its own plan. So uploads are begun in a
 * preprocessor, which may wait, and Uppy is then told to cut as planned. docs/uppy.md
 */
import AwsS3, { type AwsS3Options } from '@uppy/aws-s3'
import type { Uppy } from '@uppy/core'
import { fingerprintOf, storageMemory, UploadError, type UploadMemory } from '../../../ingest/sdk/index.ts'
import {
  beginUpload,
  createPartSender,
  failureOf,
  isSamePart,
  type PartFacts,
  type PartSender,
  preparePart,
  putBytesWith,
  type RecordedUpload,
  recordedUpload,
  requestJson,
  retrying,
  type Server,
  serverAt,
  type UploadAnswer,
  unlessClosed,
  untilClosed,
  uploadPath,
} from '../../../ingest/sdk/parts.ts'

export interface ReelstreamServer {
  readonly gatewayUrl: string
  /** The author's; a function is asked before each request. An upload that is begun has a token of its own. */
  readonly token: string | (() => string | Promise<string>)
  /** Where open uploads outlive the page; default: localStorage. One with a prefix per author keeps theirs apart. */
  readonly memory?: UploadMemory
}

/** An upload that is open, as the holder of its own token. */
interface Running extends Pick<UploadAnswer, 'uploadId' | 'partSizeBytes' | 'watchUrl'> {
  readonly fileId: string
  readonly server: Server
  readonly sender: PartSender
  /** Parts of the file as they are here. */
  readonly facts: Map<number, PartFacts>
  /** What was recorded before this page sent any. */
  before: Pick<RecordedUpload, 'parts' | 'rejections'>
  readonly over: AbortController
  forget(): Promise<void>
}

// biome-ignore lint/complexity/noBannedTypes: Uppy's own default for files that carry nothing more
type Meta = {}
type Body = { readonly location?: string }

export const reelstreamMultipart = (uppy: Uppy<Meta, Body>, author: ReelstreamServer): AwsS3Options<Meta, Body> => {
  const uploads = new Map<string, Running>()
  const partSizes = new WeakMap<object, number>()
  const signed = new WeakMap<object, { readonly upload: Running; readonly part: PartFacts }>()
  const completed = new WeakSet<object>()

  const uploadBy = (uploadId: string | undefined): Running => uploads.get(uploadId ?? '') ?? missing(uploadId)
  const end = async ({ uploadId, over, forget }: Running): Promise<void> => {
    uploads.delete(uploadId)
    over.abort()
    await forget()
  }

  uppy.addPreProcessor(async (fileIds) => {
    for (const id of fileIds) {
      const { data, name = 'video' } = uppy.getFile(id)
      if (!(data instanceof Blob) || [...uploads.values()].some(({ fileId }) => fileId === id)) continue
      const { isNew, ...upload } = await beginOrGoOn(author, id, name, data)
      uploads.set(upload.uploadId, upload)
      // Uppy knows an upload by its Blob for ever: one that is uploaded once more has to be another.
      const blob = completed.has(data) ? data.slice(0, data.size, data.type) : data
      partSizes.set(blob, upload.partSizeBytes)
      // Untyped in Uppy 5: with it, Uppy asks for the parts that are there before it sends any.
      const s3Multipart = isNew ? undefined : { uploadId: upload.uploadId, key: upload.uploadId }
      uppy.setFileState(id, { data: blob, s3Multipart } as object)
    }
  })
  // What its Golden Retriever brings back would go on behind the preprocessors, in a page that has prepared nothing.
  uppy.on('restored', () => {
    const fromTheStart = Object.entries(uppy.getState().currentUploads).map(([id, upload]) => [
      id,
      { ...upload, step: 0 },
    ])
    uppy.setState({ currentUploads: Object.fromEntries(fromTheStart) })
  })

  return {
    shouldUseMultipart: true,
    getChunkSize: (data) => partSizes.get(data) ?? data.size,

    createMultipartUpload: async ({ id }) => {
      const { uploadId } = [...uploads.values()].find(({ fileId }) => fileId === id) ?? missing(id)
      // Uppy wants a key; ours is the server's own business.
      return { uploadId, key: uploadId }
    },

    listParts: async ({ data }, { uploadId, signal = NEVER }) => {
      const upload = uploadBy(uploadId)
      upload.before = await recordedUpload(upload.server, upload.uploadId, signal)
      const same: { PartNumber: number; Size: number }[] = []
      for (const part of upload.before.parts.values()) {
        const { partNumber, sizeBytes } = part
        const here = upload.facts.get(partNumber) ?? (await prepared(upload, data, partNumber))
        if (isSamePart(here, part)) same.push({ PartNumber: partNumber, Size: sizeBytes })
      }
      return same
    },

    signPart: async ({ data }, { uploadId, partNumber }) => {
      const upload = uploadBy(uploadId)
      const { bytes: _, ...part } = await prepared(upload, data, partNumber)
      const signature = { ...(await upload.sender.sign(part)), method: 'PUT' as const }
      signed.set(signature, { upload, part })
      return signature
    },

    uploadPartBytes: async (options) => {
      const { upload, part } = signed.get(options.signature) ?? missing(options.signature.url)
      const stored = await AwsS3.uploadPartBytes(options)
      // In the log before Uppy counts it: what is reported needs not be sent again.
      await upload.sender.report({ ...part, etag: stored.ETag })
      return stored
    },

    // The gateway's pipeline knows when it has all parts: what is left to do is to send what it wants again.
    completeMultipartUpload: async ({ data }, { uploadId, signal }) => {
      const upload = uploadBy(uploadId)
      const waiting = AbortSignal.any([signal, upload.over.signal])
      const sendAgain = async (wanted: readonly PartFacts[]): Promise<void> => {
        for (const { partNumber } of wanted) {
          const part = await prepared(upload, data, partNumber)
          const put = async () => upload.sender.put(part, await upload.sender.sign(part), waiting, () => undefined)
          await upload.sender.report(await retrying(put, waiting))
        }
      }
      const outcome = await untilClosed({ ...upload, lookAgainMs: LOOK_AGAIN_MS, signal: waiting }, (wanted) =>
        unlessClosed(() => sendAgain(wanted)),
      )
      await end(upload)
      if (outcome.status === 'aborted') throw failureOf(outcome)
      completed.add(data as Blob)
      return { location: upload.watchUrl }
    },

    abortMultipartUpload: async (_file, { uploadId }) => {
      const upload = uploadBy(uploadId)
      await end(upload)
      await requestJson(upload.server, uploadPath(upload.uploadId), { method: 'DELETE' })
    },
  }
}

/** As the SDK's. */
const LOOK_AGAIN_MS = 10_000
const NEVER = new AbortController().signal

/** The title is the name of the file; Uppy's meta fields could say more. */
const beginOrGoOn = async (
  { gatewayUrl, token, memory = storageMemory(() => localStorage) }: ReelstreamServer,
  fileId: string,
  name: string,
  data: Blob,
): Promise<Running & Pick<UploadAnswer, 'isNew'>> => {
  const contentType = data.type || 'application/octet-stream'
  const details = { title: name.slice(0, MAX_TITLE), fileName: name, contentType }
  const lastModified = data instanceof File ? data.lastModified : undefined
  const fingerprint = await fingerprintOf({ name, size: data.size, lastModified }, gatewayUrl, details)
  const over = new AbortController()
  const { isNew, uploadId, uploadToken, partSizeBytes, watchUrl } = await beginUpload({
    server: serverAt(gatewayUrl, { token }),
    ...{ details, sizeBytes: data.size, memory, fingerprint, signal: over.signal },
    idempotencyKey: undefined,
    onKey: () => undefined,
  })
  const server = serverAt(gatewayUrl, { token: uploadToken })
  return {
    ...{ isNew, fileId, uploadId, partSizeBytes, watchUrl, server, over },
    sender: createPartSender(server, uploadId, putBytesWith(undefined), over.signal),
    facts: new Map(),
    before: { parts: new Map(), rejections: 0 },
    forget: () => memory.forget(fingerprint),
  }
}

/** The gateway's; names of files may be longer. */
const MAX_TITLE = 200

/** A part of the file as it is here, read and hashed. */
const prepared = async ({ partSizeBytes, facts }: Running, data: unknown, partNumber: number) => {
  if (!(data instanceof Blob)) return missing(`part ${partNumber}`)
  const range = data.slice((partNumber - 1) * partSizeBytes, partNumber * partSizeBytes)
  const part = await preparePart({ partNumber, bytes: new Uint8Array(await range.arrayBuffer()) })
  const { bytes: _, ...known } = part
  facts.set(partNumber, known)
  return part
}

const missing = (what = 'an upload without an id'): never => {
  throw new UploadError('UPLOAD_UNKNOWN', `Uppy goes on with something that was not begun here: ${what}`)
}
