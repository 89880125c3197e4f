import type { SignInLimit } from '../platform/http/client-policy.ts'
import type { Database } from '../prisma/client.ts'
import type { S3Client } from '../storage/s3-client.ts'
import type { PositionListener } from './reading/position-listener.ts'
import type { MediaOrigin } from './watch/media-origin.ts'

/** Who is looking, from a bearer token. */
export interface Viewer {
  readonly id: string
  readonly role: 'AUTHOR' | 'ADMIN'
}

export interface Viewers {
  /** Throws BadInputError UNAUTHENTICATED, UpstreamError JWKS_UNAVAILABLE. */
  authorOf(token: string): Promise<Viewer>
}

/** What the routes stand on; made once by app.ts. */
export interface ApiContext {
  readonly db: Database
  readonly viewers: Viewers
  readonly signIns: SignInLimit
  readonly positions: PositionListener
  readonly media: MediaOrigin
  /** Aborts when the server begins to close: streams that would never end must end then. */
  readonly closing: AbortSignal
}

export interface MediaStore {
  readonly s3: S3Client
  readonly bucket: string
}

/** What every route plugin gets. */
export interface RouteOptions {
  readonly context: ApiContext
}
