/** What can be uploaded: a Blob or File of a browser, or anything that can read a range of itself, in one of two ways. */
export type UploadSource = SlicedSource | ReadSource

export interface SlicedSource extends SourceFacts {
  /** The bytes from `start` up to, not including, `end`. Read once per part; may be called for several parts at once. */
  slice(start: number, end: number): { arrayBuffer(): Promise<ArrayBuffer> }
}

export interface ReadSource extends SourceFacts {
  /**
   * Fills `bytes` with what is at `start` and after it, and resolves to how many there were: fewer when it ends before.
   * May be called for several parts at once. Cheaper than `slice`: the memory of a part that is stored serves another.
   */
  readInto(bytes: Uint8Array<ArrayBuffer>, start: number): Promise<number>
}

interface SourceFacts {
  /** Bytes. */
  readonly size: number
  /** File name; a File has one. */
  readonly name?: string
  /** Media type; a Blob has one, perhaps empty. */
  readonly type?: string
  /** When it was last changed, milliseconds since 1970; a File has it. Part of its fingerprint. */
  readonly lastModified?: number
  /**
   * Whether it is still what it was in the beginning. Asked when every part is stored, before the server may make one
   * object of them; without it, and of anything but a Blob, nobody asks.
   */
  isUnchanged?(): Promise<boolean>
  /**
   * Its bytes are named by the idempotency key: other bytes have another key. Then a part that is recorded under the key is
   * one of these bytes, and is not read again to be compared. Not for files, which change under their names.
   */
  readonly isNamedByKey?: boolean
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

/** How createUpload ends well. */
export interface UploadResult extends CompletedUpload {
  /** It was complete before: its bytes were compared with these, and nothing was sent. */
  readonly alreadyComplete: boolean
}

/** An upload that the server knows. */
export interface CreatedUpload extends CompletedUpload {
  /** The same as videoId. */
  readonly uploadId: string
  /** When the server gives it up unless it is complete; milliseconds since 1970. */
  readonly expiresAtMs: number
}

/** A bearer token, or how to get one that is fresh. */
export type TokenSource = string | (() => string | Promise<string>)
