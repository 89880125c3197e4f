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
  /** The author's. */
  readonly token: string
}

interface Plan {
  readonly uploadId: string
  readonly partSizeBytes: number
  readonly watchUrl: string
}

interface Part {
  readonly partNumber: number
  readonly sizeBytes: number
  /** Base64. */
  readonly checksumSha256: string
}

// biome-ignore lint/complexity/noBannedTypes: Uppy's own default for files that carry nothing more
type Meta = {}
type Body = { readonly location?: string }

export const reelstreamMultipart = (uppy: Uppy<Meta, Body>, server: ReelstreamServer): AwsS3Options<Meta, Body> => {
  const plans = new Map<string, Plan>()
  const partSizes = new WeakMap<object, number>()
  const signed = new Map<string, { readonly path: string; readonly part: Part }>()
  const partsOf = (uploadId: string) => `/uploads/${uploadId}/parts`

  uppy.addPreProcessor(async (fileIds) => {
    for (const id of fileIds) {
      const file = uppy.getFile(id)
      // Untyped in Uppy 5: what its Golden Retriever brings back after a reload.
      const restored = (file as { s3Multipart?: { uploadId?: string } }).s3Multipart?.uploadId
      const plan =
        plans.get(id) ?? (restored === undefined ? await begin(server, file) : await recall(server, restored))
      plans.set(id, plan)
      if (file.data !== undefined) partSizes.set(file.data, plan.partSizeBytes)
    }
  })

  return {
    shouldUseMultipart: true,
    getChunkSize: (data) => partSizes.get(data) ?? data.size,

    createMultipartUpload: async ({ id }) => {
      const { uploadId } = plans.get(id) ?? missing(id)
      // Uppy wants a key; ours is the server's own business.
      return { uploadId, key: uploadId }
    },

    signPart: async (_file, { uploadId, partNumber, body, signal }) => {
      const part = { partNumber, sizeBytes: body.size, checksumSha256: await sha256(body) }
      const answer = await ask(server, 'POST', `${partsOf(uploadId)}/sign`, { parts: [part] }, signal)
      const [{ url, headers }] = (answer as { parts: [{ url: string; headers: Record<string, string> }] }).parts
      signed.set(url, { path: partsOf(uploadId), part })
      return { method: 'PUT', url, headers }
    },

    uploadPartBytes: async (options) => {
      const stored = await AwsS3.uploadPartBytes(options)
      const { url } = options.signature
      const { path, part } = signed.get(url) ?? missing(url)
      // In the log before Uppy counts it: what is reported needs not be sent again.
      await ask(server, 'POST', path, { parts: [{ ...part, etag: stored.ETag }] }, options.signal)
      signed.delete(url)
      return stored
    },

    listParts: async ({ id }, { uploadId = missing(id), signal }) =>
      (await storedParts(server, uploadId, signal)).map(({ partNumber, sizeBytes, etag }) => ({
        PartNumber: partNumber,
        Size: sizeBytes,
        ETag: etag,
      })),

    // Nothing to do but to wait: the gateway's pipeline knows when it has all parts.
    completeMultipartUpload: async ({ id }, { uploadId, signal }) => {
      await waitUntilComplete(uploadId, { apiUrl: server.gatewayUrl, token: server.token, signal })
      return { location: plans.get(id)?.watchUrl ?? '' }
    },

    abortMultipartUpload: async ({ id }, { uploadId = missing(id) }) => {
      plans.delete(id)
      await ask(server, 'DELETE', `/uploads/${uploadId}`)
    },
  }
}

/** The title is the name of the file; Uppy's meta fields could say more. */
const begin = async (
  server: ReelstreamServer,
  file: { name?: string; type?: string; size: number | null },
): Promise<Plan> => {
  const { name = 'video', type = 'application/octet-stream', size } = file
  return (await ask(server, 'POST', '/uploads', {
    title: name,
    fileName: name,
    contentType: type,
    sizeBytes: size,
  })) as Plan
}

/** Of an upload that was begun before a reload (Uppy's Golden Retriever). */
const recall = async (server: ReelstreamServer, uploadId: string): Promise<Plan> => {
  const { partSizeBytes } = (await ask(server, 'GET', `/uploads/${uploadId}/parts?limit=1`)) as {
    partSizeBytes: number
  }
  return { uploadId, partSizeBytes, watchUrl: `${server.gatewayUrl}/v/${uploadId}` }
}

interface PartsPage {
  readonly parts: readonly (Part & { readonly etag: string })[]
  readonly nextPart: number | null
}

const storedParts = async (server: ReelstreamServer, uploadId: string, signal?: AbortSignal) => {
  const parts: PartsPage['parts'][number][] = []
  for (let after: number | null = 0; after !== null; ) {
    const page = (await ask(
      server,
      'GET',
      `/uploads/${uploadId}/parts?afterPart=${after}`,
      undefined,
      signal,
    )) as PartsPage
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

const askOnce = (
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
      authorization: `Bearer ${token}`,
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
