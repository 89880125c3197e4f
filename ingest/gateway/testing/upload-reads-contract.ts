import type { Test } from 'tap'
import { examples } from '../../../schemas/examples.ts'
import type { PartUploaded, UploadStarted, VideoDetails } from '../../../schemas/generated.ts'
import type { UploadReads } from '../upload-reads.ts'

/** What every UploadReads must do, whatever it reads from. */
export interface UploadReadsWorld {
  readonly reads: UploadReads
  /** Reads of a database that does not answer. */
  readonly away: UploadReads
  /** The claim is admitted; resolves when it can be read. */
  start(videoId: string, claimId: string, started: UploadStarted): Promise<void>
  /** The part is reported, and admitted; resolves when it can be read. */
  part(videoId: string, part: PartUploaded): Promise<void>
  /** The claim is refused; resolves when that can be read. */
  refuse(videoId: string, claimId: string, code: string): Promise<void>
}

const PATIENTLY_MS = 10_000
const AT_ONCE_MS = 0

export const uploadReadsContract = (t: Test, openWorld: (t: Test) => Promise<UploadReadsWorld>): void => {
  t.test('what nobody began is not there', async (t) => {
    const { reads } = await openWorld(t)
    t.equal(await reads.findUpload('none'), null)
    t.equal(await reads.findVideo('none'), null)
    t.equal(await reads.waitForOutcome('none', AT_ONCE_MS), null)
  })

  t.test('an upload is read as it was begun', async (t) => {
    const { reads, start } = await openWorld(t)
    const started = examples.UploadStarted
    const { authorId, s3UploadId, bucket, objectKey, contentType } = started
    const { partSizeBytes, partCount, sizeBytes, expiresAtMs } = started
    await start('video', 'claim', started)
    const expected = { authorId, s3UploadId, bucket, objectKey, contentType }
    const numbers = { partSizeBytes, partCount, sizeBytes, expiresAtMs }
    t.match(await reads.findUpload('video'), { videoId: 'video', status: 'open', ...expected, ...numbers })
  })

  t.test('sizes that no 32 bits hold, and sizes that are not known yet', async (t) => {
    const { reads, start } = await openWorld(t)
    const sizeBytes = 5 * 1024 ** 4
    await start('large', 'claim-1', { ...examples.UploadStarted, sizeBytes, partSizeBytes: 5 * 1024 ** 3 })
    t.match(await reads.findUpload('large'), { sizeBytes, partSizeBytes: 5 * 1024 ** 3 })
    await start('unsized', 'claim-2', { ...examples.UploadStarted, sizeBytes: null, partCount: null })
    t.match(await reads.findUpload('unsized'), { sizeBytes: null, partCount: null })
  })

  t.test('a video is read with its details as somebody wrote them', async (t) => {
    const { reads, start } = await openWorld(t)
    const details: VideoDetails = {
      title: 'Ein “Fest”',
      description: 'Zeile 1\nZeile 2',
      author: 'Änne',
      tags: ['a', 'b c'],
      visibility: 'PRIVATE',
      fileName: 'fest.mp4',
      metadata: '{"camera":{"iso":100,"lens":null}}',
    }
    await start('video', 'claim', { ...examples.UploadStarted, details })
    const video = await reads.findVideo('video')
    const { fileName: _kept, metadata, ...written } = details
    t.match(video, { authorId: examples.UploadStarted.authorId, revision: 1, status: 'uploading', details: written })
    t.same(JSON.parse(video?.details.metadata ?? ''), JSON.parse(metadata ?? ''))
  })

  t.test('of two that begin one upload the first counts', async (t) => {
    const { reads, start, refuse } = await openWorld(t)
    await start('video', 'first', { ...examples.UploadStarted, s3UploadId: 'first' })
    await refuse('video', 'second', 'UPLOAD_EXISTS')
    t.match(await reads.findUpload('video'), { s3UploadId: 'first' })
    t.match(await reads.waitForOutcome('first', PATIENTLY_MS), { code: null, detail: null })
    t.match(await reads.waitForOutcome('second', PATIENTLY_MS), { code: 'UPLOAD_EXISTS', detail: String })
  })

  t.test('parts are read in pages, ascending, the last report of each', async (t) => {
    const { reads, start, part } = await openWorld(t)
    await start('video', 'claim', examples.UploadStarted)
    t.same(await reads.findParts('video', 0, 10), [])
    for (const partNumber of [3, 1, 2]) await part('video', { ...examples.PartUploaded, partNumber })
    await part('video', { ...examples.PartUploaded, partNumber: 2, etag: 'again' })
    const { sizeBytes, checksum: checksumSha256, etag } = examples.PartUploaded
    t.same(await reads.findParts('video', 0, 2), [
      { partNumber: 1, sizeBytes, checksumSha256, etag },
      { partNumber: 2, sizeBytes, checksumSha256, etag: 'again' },
    ])
    t.match(await reads.findParts('video', 2, 2), [{ partNumber: 3 }])
    t.same(await reads.findParts('none', 0, 10), [])
    t.same(await reads.findPartsAmong('video', [4, 2]), [{ partNumber: 2, sizeBytes, checksumSha256, etag: 'again' }])
    t.same(await reads.findPartsAmong('none', [1]), [])
    t.same(await reads.sumParts('video'), { parts: 3, bytes: 3 * sizeBytes })
    t.same(await reads.sumParts('none'), { parts: 0, bytes: 0 })
  })

  t.test('what an author has open is counted; of a stream, what is stored of it', async (t) => {
    const { reads, start, part } = await openWorld(t)
    const { authorId } = examples.UploadStarted
    t.same(await reads.openUploads(authorId), { uploads: 0, bytes: 0 })
    await start('sized', 'claim-1', { ...examples.UploadStarted, sizeBytes: 5 * 1024 ** 4 })
    await start('stream', 'claim-2', { ...examples.UploadStarted, sizeBytes: null, partCount: null })
    await start('foreign', 'claim-3', { ...examples.UploadStarted, authorId: 'somebody-else' })
    await part('stream', { ...examples.PartUploaded, sizeBytes: 7 })
    await part('sized', { ...examples.PartUploaded, sizeBytes: 7 })
    t.same(await reads.openUploads(authorId), { uploads: 2, bytes: 5 * 1024 ** 4 + 7 })
  })

  t.test('an outcome is waited for', async (t) => {
    const { reads, start } = await openWorld(t)
    const outcome = reads.waitForOutcome('claim', PATIENTLY_MS)
    await start('video', 'claim', examples.UploadStarted)
    t.match(await outcome, { code: null })
  })

  t.test('a database that is away is away, and worth another try', async (t) => {
    const { away } = await openWorld(t)
    const unavailable = { code: 'DATABASE_UNAVAILABLE', retryable: true }
    await t.rejects(away.findUpload('video'), unavailable)
    await t.rejects(away.findVideo('video'), unavailable)
    await t.rejects(away.findParts('video', 0, 1), unavailable)
    await t.rejects(away.findPartsAmong('video', [1]), unavailable)
    await t.rejects(away.sumParts('video'), unavailable)
    await t.rejects(away.openUploads('author'), unavailable)
    await t.rejects(away.waitForOutcome('claim', PATIENTLY_MS), unavailable)
  })
}
