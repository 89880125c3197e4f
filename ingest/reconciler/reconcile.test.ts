import t from 'tap'
import type { S3Client } from '../../storage/s3-client.ts'
import type { ClaimProducer } from '../claim-producer.ts'
import { partClaim } from '../part-claim.ts'
import type { OpenUpload } from './decide.ts'
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
type Answer = (name: string, input: Readonly<Record<string, unknown>>) => object | undefined
const answer: Answer = (name) => ANSWERS[name]
const s3Answering = (answer: Answer): S3Client =>
  ({
    send: async (command: { readonly input: Readonly<Record<string, unknown>> }) =>
      answer(command.constructor.name, command.input),
  }) as unknown as S3Client

interface World {
  readonly claim?: ClaimProducer['claim']
  readonly answer?: Answer
  readonly uploads?: readonly OpenUpload[]
}

const run = async (options: Partial<ReconcileOptions> = {}, world: World = {}) => {
  const claimed: { readonly id: string; readonly data: unknown }[] = []
  const found: Found[] = []
  const report = await reconcile(
    {
      s3: s3Answering(world.answer ?? answer),
      bucket: 'media',
      reads: {
        videos: async () => new Map(),
        openUploads: async (after) => (after === '' ? (world.uploads ?? [upload]) : []),
        partNumbers: async () => new Set([2]),
        foldedUpTo: async () => new Map(),
      },
      horizon: { isReached: async () => true },
      claims: {
        claim:
          world.claim ??
          (async (_type, _videoId, data, { id }) => {
            claimed.push({ id, data })
            return { claimId: id }
          }),
      },
      clock: { now: () => 0 },
    },
    { graceMs: 0, retentionMs: 0, playlistsForMs: 0, dryRun: false, onFound: (each) => found.push(each), ...options },
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

t.test('a dry run aborts its own probe of the time and nothing else', async (t) => {
  const DAY_MS = 24 * 3_600_000
  const aborted = async (dryRun: boolean): Promise<readonly unknown[]> => {
    const keys: unknown[] = []
    let probe: unknown
    await run(
      { dryRun },
      {
        answer: (name, input) => {
          if (name === 'CreateMultipartUploadCommand') probe = input.Key
          if (name === 'AbortMultipartUploadCommand') keys.push(input.Key === probe ? 'own' : input.Key)
          if (name !== 'ListMultipartUploadsCommand' || input.Prefix !== 'reconcile/') return answer(name, input)
          const listed = (Key: unknown, ageMs: number) => ({
            Key,
            UploadId: 'u',
            Initiated: new Date(DAY_MS * 2 - ageMs),
          })
          return { Uploads: [listed(probe, 0), listed('reconcile/of-one-that-died', DAY_MS)] }
        },
      },
    )
    return keys
  }
  t.same(await aborted(true), ['own'])
  t.same(await aborted(false), ['own', 'reconcile/of-one-that-died'])
})

t.test('one that cannot be claimed is said, and the others are', async (t) => {
  let asked = 0
  const { report, found } = await run(
    {},
    {
      claim: async (_type, _videoId, _data, { id }) => {
        asked += 1
        if (asked === 1) throw new Error('no')
        return { claimId: id }
      },
    },
  )
  t.match(report, { done: 1, failed: 1, complete: true })
  t.match(found, [
    { outcome: 'failed', error: 'Error: no' },
    { outcome: 'done', error: null },
  ])
})

t.test('what cannot be looked at is said, and the rest is mended', async (t) => {
  const denied = (): never => {
    throw Object.assign(new Error('no'), { name: 'AccessDenied' })
  }
  const uploadOf = (videoId: string) => ({ ...upload, videoId, objectKey: `v/${videoId}/source` })
  const videos = ['a', 'b', 'c']

  t.test('the parts of one upload', async (t) => {
    const { report, found, claimed } = await run(
      {},
      {
        uploads: videos.map(uploadOf),
        answer: (name, input) =>
          name === 'ListPartsCommand' && input.Key === 'v/b/source' ? denied() : answer(name, input),
      },
    )
    t.equal(claimed.length, 4, 'those of the others')
    t.match(report, { uploads: 2, done: 4, failed: 1, complete: false })
    t.match(
      found.filter(({ outcome }) => outcome === 'failed'),
      [{ finding: { kind: 'unseen', what: 'the parts of v/b/source' }, error: /^S3_ACCESS_DENIED: / }],
    )
  })

  t.test('the multiparts, when the probe for their age is refused', async (t) => {
    const { report, found } = await run(
      {},
      { answer: (name, input) => (name === 'CreateMultipartUploadCommand' ? denied() : answer(name, input)) },
    )
    t.match(report, { multiparts: 0, uploads: 1, done: 2, failed: 1, complete: false })
    t.match(found[0], { finding: { kind: 'unseen', what: 'multiparts' }, outcome: 'failed' })
  })

  t.test('the parts of all uploads, without asking for each of thousands', async (t) => {
    let asked = 0
    const { report } = await run(
      {},
      {
        uploads: Array.from({ length: 1000 }, (_, n) => uploadOf(`video-${n}`)),
        answer: (name, input) => {
          if (name !== 'ListPartsCommand') return answer(name, input)
          asked += 1
          return denied()
        },
      },
    )
    t.equal(asked, 10)
    t.match(report, { uploads: 0, failed: 10, complete: false })
  })
})
