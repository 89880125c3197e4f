import type { S3Action } from './s3-errors.ts'

/** The small change of every S3 call in this folder. */
export interface CallOptions {
  /** Ends the call, its retries included, with S3_ABORTED. */
  readonly signal?: AbortSignal | undefined
}

export interface ObjectName {
  readonly bucket: string
  readonly key: string
}

export const abortableBy = (signal: AbortSignal | undefined): { abortSignal?: AbortSignal } =>
  signal === undefined ? {} : { abortSignal: signal }

export const about = (action: string, { bucket, key }: ObjectName, signal: AbortSignal | undefined): S3Action => ({
  action,
  bucket,
  key,
  signal,
})

/** ETags travel in quotes on the wire and without them in our events and tables. */
export const unquoted = (etag: string | undefined): string => (etag ?? '').replaceAll('"', '')
