import t from 'tap'
import type { S3Client } from '../../storage/s3-client.ts'
import type { ClaimProducer } from '../claim-producer.ts'
import { partClaim } from '../part-claim.ts'
import { type Found, type ReconcileOptions, reconcile } from './reconcile.ts'

/**
 * Parts that S3 has and nobody reported, on a server that lists checksums: answers are played, since the one that the
 * tests of this machine run on lists none.
 */
const upload = {
  videoId: 'video',
  bucket: 'media',
  objectKey: 'v/video/source',
  s3UploadId: 'mine',
  partSizeBytes: 8,
  partCount: 3,
  sizeBytes: 20,
  rejections: 0,
}
const checksum = (n: number) => `${n}`.repeat(43).concat('=')
const listed = [1, 2, 3].map((n) => ({
  PartNumber: n,
  Size: n === 3 ? 4 : 8,
  ETag: `"etag-${n}"`,
  ChecksumSHA256: checksum(n),
}))
const ANSWERS: Readonly<Record<string, object>> = {
  CreateMultipartUploadCommand: { UploadId: 'probe' },
  ListMultipartUploadsCommand: { Uploads: [] },
  AbortMultipartUploadCommand: {},
  ListPartsCommand: { Parts: listed },
  ListObjectsV2Command: {},
}
const s3 = { send: async (command: object) => ANSWERS[command.constructor.name] } as unknown as S3Client

const run = async (options: Partial<ReconcileOptions> = {}, claim?: ClaimProducer['claim']) => {
  const claimed: { readonly id: string; readonly data: unknown }[] = []
  const found: Found[] = []
  const report = await reconcile(
    {
      s3,
      bucket: 'media',
      reads: {
        videos: async () => new Map(),
        openUploads: async (after) => (after === '' ? [upload] : []),
        partNumbers: async () => new Set([2]),
        foldedUpTo: async () => new Map(),
      },
      horizon: { isReached: async () => true },
      claims: {
        claim:
          claim ??
          (async (_type, _videoId, data, { id }) => {
            claimed.push({ id, data })
            return { claimId: id }
          }),
      },
      clock: { now: () => 0 },
    },
    { graceMs: 0, retentionMs: 0, dryRun: false, onFound: (each) => found.push(each), ...options },
  )
  return { report, found, claimed }
}

t.test('become the very claims that their client would have made', async (t) => {
  const { report, claimed } = await run()
  const claimOf = (partNumber: number, sizeBytes: number) =>
    partClaim(upload, { partNumber, sizeBytes, checksumSha256: checksum(partNumber), etag: `etag-${partNumber}` })
  t.same(claimed, [claimOf(1, 8), claimOf(3, 4)])
  t.match(report, { uploads: 1, done: 2, failed: 0, complete: true })
})

t.test('are only shown in a dry run', async (t) => {
  const { report, claimed } = await run({ dryRun: true })
  t.same(claimed, [])
  t.match(report, { planned: 2, done: 0 })
})

t.test('one that cannot be claimed is said, and the others are', async (t) => {
  let asked = 0
  const { report, found } = await run({}, async (_type, _videoId, _data, { id }) => {
    asked += 1
    if (asked === 1) throw new Error('no')
    return { claimId: id }
  })
  t.match(report, { done: 1, failed: 1, complete: true })
  t.match(found, [
    { outcome: 'failed', error: 'Error: no' },
    { outcome: 'done', error: null },
  ])
})
