import { batching } from './batch.ts'
import { UploadError } from './errors.ts'
import type { Outage } from './outage.ts'
import type { PutBytes } from './put-bytes.ts'
import { connecting, failureOf, requestJson, type Server, uploadPath } from './requests.ts'
import { Retryable } from './retry.ts'

/** What S3 and the log keep of a part. */
export interface PartFacts {
  readonly partNumber: number
  readonly sizeBytes: number
  /** Base64. */
  readonly checksumSha256: string
}

/** Whether two of a number have the same bytes: by length and checksum, never by what a list claims. */
export const isSamePart = (part: PartFacts, other: PartFacts | undefined): boolean =>
  part.sizeBytes === other?.sizeBytes && part.checksumSha256 === other.checksumSha256

/** A part on its way: read and hashed, so that trying again costs no reading. */
export interface PreparedPart extends PartFacts {
  readonly bytes: Uint8Array<ArrayBuffer>
}

export interface StoredPart extends PartFacts {
  readonly etag: string
}

/** How a part is PUT: with these headers, and no others that S3 would look at. */
export interface SignedPart {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  /**
   * What the gateway knows of others who send parts of the upload: somebody reported this one with the same bytes
   * (recorded), or had it signed a moment ago (taken).
   */
  readonly state: 'free' | 'taken' | 'recorded'
}

export interface PartSender {
  /**
   * For one PUT of exactly these bytes, with repetitions: one that expired while its part waited is not a special case.
   * @param unlessSignedWithinMs how long ago it counts as taken; default: 0, never
   * @throws UploadError
   */
  sign(part: PartFacts, unlessSignedWithinMs?: number): Promise<SignedPart>
  /** ONE try. `onSent` is told how many bytes have left. Throws Retryable, or UploadError for what will not heal. */
  put(
    part: PreparedPart,
    signed: SignedPart,
    signal: AbortSignal,
    onSent: (sentBytes: number) => void,
  ): Promise<StoredPart>
  /** Tells the gateway of a stored part, with repetitions. @throws UploadError */
  report(part: StoredPart): Promise<void>
  readonly outage: Outage | undefined
}

/** As many as the gateway takes in one request. */
const MAX_WINDOW = 100

/** @param server the gateway, with the upload token */
export const createPartSender = (
  server: Server,
  uploadId: string,
  putBytes: PutBytes,
  signal: AbortSignal,
): PartSender => {
  const path = `${uploadPath(uploadId)}/parts`
  const sign = batching(async (parts: readonly (PartFacts & { readonly unlessSignedWithinMs: number })[]) => {
    const request = { method: 'POST', body: { parts }, signal }
    return (await requestJson<{ parts: SignedPart[] }>(server, `${path}/sign`, request)).parts
  }, MAX_WINDOW)
  const report = batching(async (parts: readonly StoredPart[]) => {
    await requestJson(server, path, { method: 'POST', body: { parts }, signal })
    return parts
  }, MAX_WINDOW)

  return {
    sign: ({ partNumber, sizeBytes, checksumSha256 }, unlessSignedWithinMs = 0) =>
      sign({ partNumber, sizeBytes, checksumSha256, unlessSignedWithinMs }),
    async put({ bytes, ...part }, { url, headers }, partSignal, onSent) {
      const onLeft = (sentBytes: number): void => {
        // A large part may be under way for long before it is answered.
        if (sentBytes > 0) server.outage?.answered()
        onSent(sentBytes)
      }
      const etag = await put(() => putBytes({ url, headers, bytes, signal: partSignal, onSent: onLeft }), partSignal)
      return { ...part, etag }
    },
    async report(part) {
      await report(part)
    },
    outage: server.outage,
  }
}

const put = async (call: () => Promise<Response>, signal: AbortSignal): Promise<string> => {
  const answer = await connecting(call, signal)
  if (!answer.ok) throw await refusalOf(answer)
  // Unread bodies keep their connection from being used again.
  await answer.arrayBuffer()
  const etag = answer.headers.get('etag')
  if (etag === null)
    throw new UploadError('ETAG_HIDDEN', 'The bucket hides the ETag from pages: its CORS rules must expose it.')
  return etag
}

/**
 * 400: damaged on the way, or too slow. 403: the signature expired. 404: the upload ended meanwhile, which the gateway
 * will say when the part is signed again. 409: another writer. All are worth another try with a new signature.
 */
const CURED_BY_SIGNING_AGAIN = [400, 403, 404, 409]

const refusalOf = async (answer: Response): Promise<Error> => {
  if (!CURED_BY_SIGNING_AGAIN.includes(answer.status)) return failureOf(answer)
  await answer.arrayBuffer()
  return new Retryable(new UploadError('S3_REFUSED', `S3 refused a part (${answer.status}).`, answer.status))
}
