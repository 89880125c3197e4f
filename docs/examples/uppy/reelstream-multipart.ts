/**
 * Uppy's S3 plugin (@uppy/aws-s3 5) with a Reelstream gateway in the place of Companion: parts go in parallel straight to
 * S3, each hashed here and refused by S3 if a bit of it is not as it was hashed.
 *
 *     const uppy = new Uppy().use(AwsS3, reelstreamMultipart(uppy, { gatewayUrl, token }))
 *
 * Uppy cuts a file before anybody asks the server how, and the gateway takes only the parts of its own plan. So uploads
 * are begun in a preprocessor, which may wait, and Uppy is then told to cut as planned. docs/uppy.md
 */
import AwsS3, { type AwsS3Options } from '@uppy/aws-s3'
import type { Uppy } from '@uppy/core'
import { UploadError, waitUntilComplete } from '../../../ingest/sdk/index.ts'

export interface ReelstreamServer {
  /** One origin: gateway and API. */
  readonly gatewayUrl: string
  /** The author's; a function is asked before each request. An upload that is begun has a token of its own. */
  readonly token: string | (() => string | Promise<string>)
}

interface Plan {
  readonly uploadId: string
  readonly partSizeBytes: number
  readonly partCount: number
  readonly watchUrl: string
  /** For everything but its beginning; not known of one that was begun before a reload. */
  readonly uploadToken?: string
}

interface Part {
  readonly partNumber: number
  readonly sizeBytes: number
  /** Base64. */
  readonly checksumSha256: string
}

interface Signature {
  readonly method: 'PUT'
  readonly url: string
  readonly headers: Record<string, string>
}

// biome-ignore lint/complexity/noBannedTypes: Uppy's own default for files that carry nothing more
type Meta = {}
type Body = { readonly location?: string }

export const reelstreamMultipart = (uppy: Uppy<Meta, Body>, server: ReelstreamServer): AwsS3Options<Meta, Body> => {
  const plans = new Map<string, Plan>()
  const partSizes = new WeakMap<object, number>()
  const signed = new WeakMap<object, Signed>()
  const completed = new WeakSet<object>()

  uppy.addPreProcessor(async (fileIds) => {
    for (const id of fileIds) {
      const { data } = uppy.getFile(id)
      // Uppy knows an upload by its Blob for ever: one that is uploaded once more has to be another.
      if (data instanceof Blob && completed.has(data))
        uppy.setFileState(id, { data: data.slice(0, data.size, data.type) })
      const file = uppy.getFile(id)
      // Untyped in Uppy 5: what its Golden Retriever brings back after a reload.
      const restored = (file as { s3Multipart?: { uploadId?: string } }).s3Multipart?.uploadId
      const plan =
        plans.get(id) ?? (restored === undefined ? await begin(server, file) : await recall(server, restored))
      plans.set(id, plan)
      if (file.data !== undefined) partSizes.set(file.data, plan.partSizeBytes)
    }
  })
  uppy.on('file-removed', ({ id }) => plans.delete(id))

  return {
    shouldUseMultipart: true,
    getChunkSize: (data) => partSizes.get(data) ?? data.size,

    createMultipartUpload: async ({ id }) => {
      const { uploadId } = plans.get(id) ?? missing(id)
      // Uppy wants a key; ours is the server's own business.
      return { uploadId, key: uploadId }
    },

    signPart: async ({ id }, { uploadId, partNumber, body, signal }) => {
      const part = { partNumber, sizeBytes: body.size, checksumSha256: await sha256(body) }
      const holder = holderOf(server, plans.get(id))
      const signature = await sign(holder, uploadId, part, signal)
      signed.set(signature, { holder, uploadId, part })
      return signature
    },

    uploadPartBytes: async (options) => {
      const { holder, uploadId, part } = signed.get(options.signature) ?? missing(options.signature.url)
      const stored = await AwsS3.uploadPartBytes(options)
      // In the log before Uppy counts it: what is reported needs not be sent again.
      await report(holder, uploadId, part, stored.ETag, options.signal)
      return stored
    },

    listParts: async ({ id }, { uploadId = missing(id), signal }) =>
      (await storedParts(holderOf(server, plans.get(id)), uploadId, signal)).map(({ partNumber, sizeBytes, etag }) => ({
        PartNumber: partNumber,
        Size: sizeBytes,
        ETag: etag,
      })),

    // The gateway's pipeline knows when it has all parts: what is left to do is to send what it wants again.
    completeMultipartUpload: async ({ id, data }, { signal }) => {
      const plan = plans.get(id) ?? missing(id)
      if (!(data instanceof Blob)) return missing(id)
      await completion(holderOf(server, plan), plan, data, signal)
      plans.delete(id)
      completed.add(data)
      return { location: plan.watchUrl }
    },

    abortMultipartUpload: async ({ id }, { uploadId = missing(id) }) => {
      const holder = holderOf(server, plans.get(id))
      plans.delete(id)
      await ask(holder, 'DELETE', `/uploads/${uploadId}`)
    },
  }
}

/** With the token of the upload, which lives as long as the upload; the author's need not. */
const holderOf = (server: ReelstreamServer, plan: Plan | undefined): ReelstreamServer =>
  plan?.uploadToken === undefined ? server : { ...server, token: plan.uploadToken }

interface Signed {
  readonly holder: ReelstreamServer
  readonly uploadId: string
  readonly part: Part
}

const partsOf = (uploadId: string): string => `/uploads/${uploadId}/parts`

const sign = async (
  server: ReelstreamServer,
  uploadId: string,
  part: Part,
  signal?: AbortSignal,
): Promise<Signature> => {
  const answer = await ask(server, 'POST', `${partsOf(uploadId)}/sign`, { parts: [part] }, signal)
  const [{ url, headers }] = (answer as { parts: [Pick<Signature, 'url' | 'headers'>] }).parts
  return { method: 'PUT', url, headers }
}

const report = (server: ReelstreamServer, uploadId: string, part: Part, etag: string, signal?: AbortSignal) =>
  ask(server, 'POST', partsOf(uploadId), { parts: [{ ...part, etag }] }, signal)

/** @throws UploadError with the code that the upload was aborted with */
const completion = async (server: ReelstreamServer, plan: Plan, data: Blob, signal: AbortSignal): Promise<void> => {
  const over = new AbortController()
  try {
    const ending = AbortSignal.any([signal, over.signal])
    const complete = waitUntilComplete(plan.uploadId, { ...server, signal: ending })
    await Promise.race([complete, sendWhatIsWanted(server, plan, data, ending)])
  } finally {
    over.abort()
  }
}

/** Far more than the read model is ever behind. */
const LOOK_AGAIN_MS = 5_000

/**
 * The server compares the parts with S3 before it completes, and one that is not as it was reported vanishes from the
 * list. A list that still grows is only behind. Never resolves: whoever waits for the completion ends it.
 */
const sendWhatIsWanted = async (
  server: ReelstreamServer,
  plan: Plan,
  data: Blob,
  signal: AbortSignal,
): Promise<never> => {
  for (let before = -1; ; ) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS))
    signal.throwIfAborted()
    const parts = await storedParts(server, plan.uploadId, signal)
    const listed = new Set(parts.map(({ partNumber }) => partNumber))
    const wanted = Array.from({ length: plan.partCount }, (_, i) => i + 1).filter((number) => !listed.has(number))
    for (const partNumber of listed.size === before ? wanted : []) {
      await sendAgain(server, plan, partNumber, data, signal).catch(unlessClosed)
    }
    before = listed.size
  }
}

const sendAgain = async (
  server: ReelstreamServer,
  { uploadId, partSizeBytes }: Plan,
  partNumber: number,
  data: Blob,
  signal: AbortSignal,
): Promise<void> => {
  const body = data.slice((partNumber - 1) * partSizeBytes, partNumber * partSizeBytes)
  const part = { partNumber, sizeBytes: body.size, checksumSha256: await sha256(body) }
  const { method, url, headers } = await sign(server, uploadId, part, signal)
  const answer = await fetch(url, { method, headers, body, signal }).catch(() => null)
  // What S3 does not take now is still wanted at the next look.
  const etag = answer?.ok ? answer.headers.get('etag') : null
  if (typeof etag === 'string') await report(server, uploadId, part, etag, signal)
}

/** Complete or given up meanwhile: whoever waits for that says which. */
const unlessClosed = (error: unknown): void => {
  if (!(error instanceof UploadError && error.code === 'UPLOAD_CLOSED')) throw error
}

/** The title is the name of the file; Uppy's meta fields could say more. */
const begin = async (
  server: ReelstreamServer,
  file: { name?: string; type?: string; size: number | null },
): Promise<Plan> => {
  const { name = 'video', type, size } = file
  return (await ask(server, 'POST', '/uploads', {
    title: name.slice(0, MAX_TITLE),
    fileName: name,
    contentType: type || 'application/octet-stream',
    sizeBytes: size,
  })) as Plan
}

/** The gateway's; names of files may be longer. */
const MAX_TITLE = 200

/** Of an upload that was begun before a reload (Uppy's Golden Retriever). */
const recall = async (server: ReelstreamServer, uploadId: string): Promise<Plan> => {
  const answer = await ask(server, 'GET', `${partsOf(uploadId)}?limit=1`)
  const { partSizeBytes, partCount } = answer as Pick<Plan, 'partSizeBytes' | 'partCount'>
  return { uploadId, partSizeBytes, partCount, watchUrl: `${server.gatewayUrl}/v/${uploadId}` }
}

interface PartsPage {
  readonly parts: readonly (Part & { readonly etag: string })[]
  readonly nextPart: number | null
}

const storedParts = async (server: ReelstreamServer, uploadId: string, signal?: AbortSignal) => {
  const parts: PartsPage['parts'][number][] = []
  for (let after: number | null = 0; after !== null; ) {
    const page = (await ask(server, 'GET', `${partsOf(uploadId)}?afterPart=${after}`, undefined, signal)) as PartsPage
    parts.push(...page.parts)
    after = page.nextPart
  }
  return parts
}

/** Uppy repeats what S3 refuses, and nothing else: a gateway that is away for a moment must be waited for here. */
const ask = async (
  server: ReelstreamServer,
  method: string,
  path: string,
  body?: object,
  signal?: AbortSignal,
): Promise<unknown> => {
  const key = crypto.randomUUID()
  for (const pauseMs of PAUSES_MS) {
    const answer = await askOnce(server, method, path, key, body, signal).catch((error: unknown) => {
      if (signal?.aborted) throw error
    })
    if (answer?.ok) return answer.json()
    if (answer !== undefined && answer.status < 500 && answer.status !== 429) throw await refusal(answer)
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
  throw new UploadError('CONNECTION_FAILED', 'The gateway cannot be reached.')
}

const PAUSES_MS = [250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]

const askOnce = async (
  { gatewayUrl, token }: ReelstreamServer,
  method: string,
  path: string,
  key: string,
  body?: object,
  signal?: AbortSignal,
): Promise<Response> =>
  fetch(`${gatewayUrl}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${typeof token === 'function' ? await token() : token}`,
      // A create that is repeated makes no second upload.
      'idempotency-key': key,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal === undefined ? {} : { signal }),
  })

const refusal = async (answer: Response): Promise<UploadError> => {
  const { code = `HTTP_${answer.status}`, detail = 'The gateway refused.' } = (await answer.json()) as Problem
  return new UploadError(code, detail, answer.status)
}

interface Problem {
  readonly code?: string
  readonly detail?: string
}

const sha256 = async (bytes: Blob): Promise<string> => {
  const digest = await crypto.subtle.digest('SHA-256', await bytes.arrayBuffer())
  return btoa(String.fromCharCode(...new Uint8Array(digest)))
}

const missing = (what: string): never => {
  throw new UploadError('UPLOAD_UNKNOWN', `Uppy goes on with something that was not begun here: ${what}`)
}
