import { hkdfSync } from 'node:crypto'
import { errors, jwtVerify, SignJWT } from 'jose'
import { ConfigError } from '../../platform/errors.ts'
import { unauthenticated } from '../../platform/http/author-token.ts'

/**
 * The upload handle (`uploadToken`): the right to put parts into ONE upload and to give that upload up.
 *
 * It names the author, the upload and its multipart in S3, and is signed, so a page or a device can be handed an upload
 * without being handed the author. It opens nothing else, and ends a day after the upload's expiry, which is checked for
 * itself. Place, plan and state are those of the recorded upload, whose multipart has to be the one that the handle
 * names: a handle of an upload that was closed, or that lost the race of two creates, is worth nothing.
 *
 * Signed with a key derived (RFC 5869) from a secret that every gateway of a deployment shares: UPLOAD_HANDLE_SECRET,
 * else JWT_SECRET, which checks authors' tokens with another key. Whoever changes it closes no upload, but the handles
 * that are out are good for nothing any more: their holders begin again with the same Idempotency-Key.
 */
export interface UploadHandle {
  readonly uploadId: string
  readonly authorId: string
  readonly s3UploadId: string
}

export interface UploadHandles {
  issue(handle: UploadHandle, expiresAtMs: number): Promise<string>
  /** @throws BadInputError UNAUTHENTICATED */
  verify(token: string): Promise<UploadHandle>
  /** Whether it claims to be a handle: tells it from an author's token without checking either. */
  recognises(token: string): boolean
}

/** Also the JWT's `typ`, so that a handle is never taken for an author's token, nor the other way round. */
const TYPE = 'reelstream-upload+jwt'

const MIN_SECRET_LENGTH = 32

/** @throws ConfigError UPLOAD_HANDLE_SETTINGS: no secret, or one that is too short */
export const uploadHandleSecret = (config: Readonly<Record<'uploadHandleSecret' | 'jwtSecret', string>>): string => {
  const secret = config.uploadHandleSecret || config.jwtSecret
  if (secret.length >= MIN_SECRET_LENGTH) return secret
  throw new ConfigError(
    'UPLOAD_HANDLE_SETTINGS',
    `UPLOAD_HANDLE_SECRET, or JWT_SECRET in its place, needs ${MIN_SECRET_LENGTH} characters or more.`,
  )
}

export const createUploadHandles = (deploymentSecret: string): UploadHandles => {
  const key = new Uint8Array(hkdfSync('sha256', deploymentSecret, '', 'reelstream upload handle', 32))
  return {
    issue: ({ uploadId, ...claims }, expiresAtMs) =>
      new SignJWT(claims)
        .setProtectedHeader({ alg: 'HS256', typ: TYPE })
        .setSubject(uploadId)
        .setExpirationTime(Math.floor(expiresAtMs / 1000))
        .sign(key),

    async verify(token) {
      try {
        const { payload } = await jwtVerify<Omit<UploadHandle, 'uploadId'>>(token, key, {
          algorithms: ['HS256'],
          typ: TYPE,
          requiredClaims: ['sub', 'exp'],
        })
        const { authorId, s3UploadId, sub = '' } = payload
        return { uploadId: sub, authorId, s3UploadId }
      } catch (error) {
        const expired = error instanceof errors.JWTExpired
        throw unauthenticated(expired ? 'The upload has expired.' : 'The upload token is not valid.', error)
      }
    },

    recognises: (token) => headerOf(token)?.typ === TYPE,
  }
}

const headerOf = (token: string): { readonly typ?: unknown } | undefined => {
  try {
    return JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString('utf8'))
  } catch {
    // Not a JWT at all: whoever verifies it as an author's token says so.
    return undefined
  }
}
