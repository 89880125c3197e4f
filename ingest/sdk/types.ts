/** What can be uploaded: a Blob or File of a browser, or anything that can read a range of itself. */
export interface UploadSource {
  /** Bytes; must not change during the upload. */
  readonly size: number
  /** File name; a File has one. */
  readonly name?: string
  /** Media type; a Blob has one, perhaps empty. */
  readonly type?: string
  /** The bytes from `start` up to, not including, `end`. Read once per part, again only after a pause. */
  slice(start: number, end: number): { arrayBuffer(): Promise<ArrayBuffer> }
}

/** What people say about the video. The gateway documents the limits. */
export interface UploadDetails {
  readonly title: string
  readonly description?: string
  /** Display name; the token's by default. */
  readonly author?: string
  readonly tags?: readonly string[]
  readonly visibility?: 'PUBLIC' | 'UNLISTED' | 'PRIVATE'
  /** Any JSON object. */
  readonly metadata?: Readonly<Record<string, unknown>>
  /** By default the source's. */
  readonly fileName?: string
  /** By default the source's. */
  readonly contentType?: string
}

export interface CompletedUpload {
  readonly videoId: string
  readonly watchUrl: string
}

/** A bearer token, or how to get one that is fresh. */
export type TokenSource = string | (() => string | Promise<string>)
