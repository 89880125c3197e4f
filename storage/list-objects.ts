import {
  DeleteObjectsCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
  type S3Client,
} from '@aws-sdk/client-s3'
import { UpstreamError } from '../platform/errors.ts'
import { abortableBy, type CallOptions } from './s3-call.ts'
import { withS3Errors } from './s3-errors.ts'

/**
 * Listing and deleting below a prefix: for sweeping, never for asking what exists (the log says that). Page by page, so
 * that memory does not grow with the bucket. What is written while a list runs may be on it or not.
 *
 * Needs s3:ListBucket and s3:DeleteObject.
 */
export interface Below {
  readonly bucket: string
  /** Of folders and of what is to be deleted below it: ends with a slash. */
  readonly prefix: string
}

/** Pages of the keys that begin with the prefix, in order. At most 1,000 on a page. */
export async function* listKeys(
  s3: S3Client,
  { bucket, prefix }: Below,
  { signal }: CallOptions = {},
): AsyncGenerator<readonly string[]> {
  for await (const page of pages(s3, { bucket, prefix }, undefined, signal)) yield keysOf(page)
}

/** Pages of the names of the folders directly below the prefix, without slashes, in order. At most 1,000 on a page. */
export async function* listFolders(
  s3: S3Client,
  { bucket, prefix }: Below,
  { signal }: CallOptions = {},
): AsyncGenerator<readonly string[]> {
  for await (const page of pages(s3, { bucket, prefix }, '/', signal)) {
    yield (page.CommonPrefixes ?? []).map(({ Prefix = '' }) => Prefix.slice(prefix.length).replace(/\/$/, ''))
  }
}

/**
 * Deletes every object below the prefix and says how many. Done again it deletes what has come since. Without effect, and
 * no error, where there is nothing.
 * @throws UpstreamError (retryable as it says); then some of them may be gone
 */
export const deleteObjectsBelow = async (s3: S3Client, below: Below, { signal }: CallOptions = {}): Promise<number> => {
  let deleted = 0
  for await (const keys of listKeys(s3, below, { signal })) {
    if (keys.length > 0) await deleteKeys(s3, below.bucket, keys, { signal })
    deleted += keys.length
  }
  return deleted
}

const keysOf = ({ Contents = [] }: ListObjectsV2CommandOutput): readonly string[] =>
  Contents.flatMap(({ Key }) => (Key === undefined ? [] : [Key]))

async function* pages(
  s3: S3Client,
  { bucket, prefix }: Below,
  delimiter: string | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<ListObjectsV2CommandOutput> {
  let token: string | undefined
  do {
    const command: ListObjectsV2Command = new ListObjectsV2Command({
      Bucket: bucket,
      Prefix: prefix,
      Delimiter: delimiter,
      ContinuationToken: token,
    })
    const page: ListObjectsV2CommandOutput = await withS3Errors(
      { action: 'list the objects', bucket, key: prefix, signal },
      () => s3.send(command, abortableBy(signal)),
    )
    yield page
    token = page.IsTruncated === true ? page.NextContinuationToken : undefined
  } while (token !== undefined)
}

/**
 * Deletes 1 … 1,000 objects. Without effect, and no error, where there is none.
 * @throws UpstreamError (retryable as it says); then some of them may be gone
 */
export const deleteKeys = async (
  s3: S3Client,
  bucket: string,
  keys: readonly string[],
  { signal }: CallOptions = {},
): Promise<void> => {
  const command = new DeleteObjectsCommand({
    Bucket: bucket,
    Delete: { Quiet: true, Objects: keys.map((Key) => ({ Key })) },
  })
  const { Errors = [] } = await withS3Errors({ action: 'delete objects', bucket, signal }, () =>
    s3.send(command, abortableBy(signal)),
  )
  const [first] = Errors
  if (first === undefined) return
  const facts = { bucket, key: first.Key, s3Error: first.Code }
  throw new UpstreamError('S3_NOT_DELETED', `${Errors.length} of ${keys.length} objects were not deleted.`, { facts })
}
