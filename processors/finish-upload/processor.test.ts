import t from 'tap'
import { testDriver } from '../../runtime/testing/test-driver.ts'
import { examples, EXAMPLE_VIDEO_ID as VIDEO } from '../../schemas/examples.ts'
import { videoEvents } from '../../schemas/topics.ts'
import { finishUpload } from './processor.ts'

const HOUR_MS = 60 * 60 * 1000
const START_MS = examples.UploadStarted.expiresAtMs - 24 * HOUR_MS
const { bucket, objectKey, etag, sizeBytes, checksum } = examples.UploadCompleted
const NOTHING = { completed: null, rejection: null, wrongParts: [] }
const COMPLETED = { ok: true, value: { ...NOTHING, completed: { etag, sizeBytes, checksum } } } as const
const REJECTION = { code: 'PARTS_MISMATCH', detail: 'The parts are not those that were reported.' }
const REJECTED = { ok: true, value: { ...NOTHING, rejection: REJECTION } } as const
const MISSING = { code: 'PART_MISSING', detail: 'S3 does not have the part.' }
const wrong = (...parts: readonly (readonly [partNumber: number, etag: string])[]) => ({
  ok: true as const,
  value: {
    ...NOTHING,
    wrongParts: parts.map(([partNumber, etag]) => ({ partNumber, etag, checksum: etag, ...MISSING })),
  },
})
const ABORTED = { ok: true, value: { existed: true } } as const

const started = (partCount: number | null = 2) => {
  const driver = testDriver([finishUpload], { startAtMs: START_MS })
  const size = partCount === null ? null : sizeBytes
  driver.pipe(videoEvents, 'UploadStarted', VIDEO, { ...examples.UploadStarted, partCount, sizeBytes: size })
  const upload = {
    driver,
    part: (partNumber: number, etag = `etag-${partNumber}`) =>
      driver.pipe(videoEvents, 'PartUploaded', VIDEO, { ...examples.PartUploaded, partNumber, etag, checksum: etag }),
    askToAbort: () => driver.pipe(videoEvents, 'UploadAbortRequested', VIDEO, examples.UploadAbortRequested),
    remove: () => driver.pipe(videoEvents, 'VideoDeleted', VIDEO, examples.VideoDeleted),
    asked: () => driver.effects().map(({ name }) => name),
    settle: (outcome: typeof COMPLETED | typeof REJECTED | typeof ABORTED | ReturnType<typeof wrong>) => {
      driver.settle(driver.effects()[0]?.id ?? '', outcome)
      driver.advance(0) // lets the processor read back what it said
    },
    ends: () =>
      driver
        .read(videoEvents)
        .filter(({ type }) => type === 'UploadCompleted' || type === 'UploadAborted')
        .map(({ type, data }) => (type === 'UploadAborted' ? `${type} ${(data as { reason: string }).reason}` : type)),
  }
  return upload
}

t.test('completes when the last missing part is there, whatever the order', async (t) => {
  const { driver, part, asked, settle } = started()
  part(2)
  t.strictSame(asked(), [])
  part(1)
  t.strictSame(asked(), ['complete'])
  const [effect] = driver.effects()
  const { s3UploadId } = examples.UploadStarted
  t.match(effect?.input, { bucket, objectKey, s3UploadId, partCount: 2, sizeBytes })
  t.strictSame(
    driver
      .readsOf(effect?.id ?? '')
      .get('part')
      ?.map(([id]) => id),
    ['00001', '00002'],
  )
  settle(COMPLETED)
  t.match(driver.read(videoEvents, 'UploadCompleted')[0]?.data, {
    ...examples.UploadCompleted,
    authorId: null,
    details: null,
  })
})

t.test('completes a stream once its length is known, without what lies beyond it', async (t) => {
  const { driver, part, asked } = started(null)
  for (const n of [1, 2, 3]) part(n)
  t.strictSame(asked(), [])
  driver.pipe(videoEvents, 'UploadSealed', VIDEO, { partCount: 2, sizeBytes: 1_000 })
  t.strictSame(asked(), ['complete'])
  t.equal(driver.readsOf(driver.effects()[0]?.id ?? '').get('part')?.length, 2)
})

t.test('a stream that is sealed before its last part waits for it', async (t) => {
  const { driver, part, asked } = started(null)
  part(1)
  driver.pipe(videoEvents, 'UploadSealed', VIDEO, { partCount: 2, sizeBytes: 1_000 })
  driver.pipe(videoEvents, 'UploadSealed', VIDEO, { partCount: 1, sizeBytes: 500 })
  t.strictSame(asked(), [], 'the first seal wins')
  part(2)
  t.strictSame(asked(), ['complete'])
})

t.test('UploadStarted: the first one wins', async (t) => {
  const { driver, part } = started()
  driver.pipe(videoEvents, 'UploadStarted', VIDEO, { ...examples.UploadStarted, s3UploadId: 'other', partCount: 1 })
  for (const n of [1, 2]) part(n)
  t.match(driver.effects()[0]?.input, { s3UploadId: examples.UploadStarted.s3UploadId, partCount: 2 })
})

t.test('PartUploaded: doubled it counts once, and the last one per number wins', async (t) => {
  const { driver, part, asked } = started()
  part(1)
  part(1)
  part(1, 'uploaded again')
  t.strictSame(asked(), [])
  part(2)
  const parts = driver.readsOf(driver.effects()[0]?.id ?? '').get('part')
  t.match(parts?.[0]?.[1], { etag: 'uploaded again' })
})

t.test('PartUploaded: delayed past the completion it has no effect', async (t) => {
  const { part, asked, settle, ends, driver } = started()
  for (const n of [1, 2]) part(n)
  settle(COMPLETED)
  part(1)
  part(2, 'uploaded again')
  driver.advance(25 * HOUR_MS)
  t.strictSame(asked(), [])
  t.strictSame(ends(), ['UploadCompleted'])
})

t.test('a part beyond the end is ignored', async (t) => {
  const { part, asked } = started()
  part(1)
  part(3)
  t.strictSame(asked(), [])
})

t.test('gives the upload up when it is asked to', async (t) => {
  const { driver, part, askToAbort, asked, settle, ends } = started()
  part(1)
  askToAbort()
  askToAbort()
  part(2)
  t.strictSame(asked(), ['abort'], 'once, and a part that comes now changes nothing')
  t.strictSame(ends(), [], 'it is over when the parts are gone')
  settle(ABORTED)
  t.strictSame(ends(), ['UploadAborted CLIENT'])
  t.strictSame(driver.state('finish-upload', VIDEO), { upload: {}, part: {} }, 'nothing is left behind')
})

t.test('UploadAbortRequested: no effect once completed, nor while it is being completed', async (t) => {
  const { part, askToAbort, asked, settle, ends } = started()
  for (const n of [1, 2]) part(n)
  askToAbort()
  t.strictSame(asked(), ['complete'])
  settle(COMPLETED)
  askToAbort()
  t.strictSame(asked(), [])
  t.strictSame(ends(), ['UploadCompleted'])
})

t.test('an upload that was asked to be given up while it was completed ends when that finds wrong parts', async (t) => {
  const { driver, part, askToAbort, asked, settle, ends } = started()
  for (const n of [1, 2]) part(n)
  askToAbort()
  settle(wrong([2, 'etag-2']))
  t.strictSame(asked(), ['abort'])
  t.match(driver.effects()[0]?.input, { reason: 'CLIENT', code: 'UPLOAD_CANCELLED' })
  part(2)
  t.strictSame(asked(), ['abort'], 'a part that comes now changes nothing')
  settle(ABORTED)
  t.strictSame(ends(), ['UploadAborted CLIENT'])
})

t.test('asked to be given up, a completion that S3 refuses gets no second try', async (t) => {
  const { driver, part, askToAbort, asked, settle } = started()
  for (const n of [1, 2]) part(n)
  askToAbort()
  part(2, 'uploaded again')
  settle(REJECTED)
  t.strictSame(asked(), ['abort'])
  t.match(driver.effects()[0]?.input, { reason: 'CLIENT' })
})

t.test('gives the upload up when its time is over', async (t) => {
  const { driver, part, asked, settle, ends } = started()
  part(1)
  driver.advance(24 * HOUR_MS - 1)
  t.strictSame(asked(), [])
  driver.advance(1)
  t.strictSame(asked(), ['abort'])
  settle(ABORTED)
  t.strictSame(ends(), ['UploadAborted EXPIRED'])
})

t.test('expiry never races a completion', async (t) => {
  const { driver, part, asked, settle, ends } = started()
  for (const n of [1, 2]) part(n)
  driver.advance(48 * HOUR_MS)
  t.strictSame(asked(), ['complete'])
  settle(COMPLETED)
  t.strictSame(ends(), ['UploadCompleted'])
})

t.test('an upload whose parts S3 refuses is aborted, and says why', async (t) => {
  const { driver, part, asked, settle, ends } = started()
  for (const n of [1, 2]) part(n)
  settle(REJECTED)
  t.strictSame(asked(), ['abort'])
  settle(ABORTED)
  t.strictSame(ends(), ['UploadAborted REJECTED'])
  t.match(driver.read(videoEvents, 'UploadAborted')[0]?.data, REJECTION)
})

t.test('a part that was uploaded again meanwhile gives the completion one more try', async (t) => {
  const { driver, part, asked, settle, ends } = started()
  for (const n of [1, 2]) part(n)
  part(2, 'uploaded again')
  settle(REJECTED)
  t.strictSame(asked(), ['complete'])
  t.match(driver.readsOf(driver.effects()[0]?.id ?? '').get('part')?.[1]?.[1], { etag: 'uploaded again' })
  settle(REJECTED)
  t.strictSame(asked(), ['abort'], 'not for ever')
  settle(ABORTED)
  t.strictSame(ends(), ['UploadAborted REJECTED'])
})

t.test('a part that S3 does not have costs that part, not the upload', async (t) => {
  const { driver, part, asked, settle, ends } = started(3)
  for (const n of [1, 2, 3]) part(n)
  settle(wrong([1, 'etag-1'], [3, 'etag-3']))
  t.strictSame(asked(), [], 'it receives again')
  t.match(
    driver.read(videoEvents, 'PartRejected').map(({ data }) => data),
    [
      { partNumber: 1, etag: 'etag-1', code: 'PART_MISSING', following: 1 },
      { partNumber: 3, etag: 'etag-3', following: 0 },
    ],
  )
  part(1)
  t.strictSame(asked(), [])
  part(3)
  t.strictSame(asked(), ['complete'], 'with the very same bytes')
  settle(COMPLETED)
  t.strictSame(ends(), ['UploadCompleted'])
})

t.test('a part that was reported anew before its rejection is not wanted again', async (t) => {
  const { driver, part, asked, settle } = started()
  for (const n of [1, 2]) part(n)
  part(2, 'uploaded again')
  settle(wrong([2, 'etag-2']))
  t.strictSame(asked(), ['complete'], 'nothing is missing')
  t.match(driver.readsOf(driver.effects()[0]?.id ?? '').get('part')?.[1]?.[1], { etag: 'uploaded again' })
})

t.test('PartRejected: doubled, and delayed past the report that followed, it has no effect', async (t) => {
  const { driver, part, asked, settle } = started()
  for (const n of [1, 2]) part(n)
  settle(wrong([2, 'etag-2']))
  const [rejected] = driver.read(videoEvents, 'PartRejected')
  if (rejected === undefined) throw new Error('no PartRejected')
  driver.pipe(videoEvents, 'PartRejected', VIDEO, rejected.data)
  part(2, 'uploaded again')
  t.strictSame(asked(), ['complete'])
  driver.pipe(videoEvents, 'PartRejected', VIDEO, { ...rejected.data, following: 1 })
  t.equal(driver.readsOf(driver.effects()[0]?.id ?? '').get('part')?.length, 2)
})

t.test('wants parts again three times, and then ends the upload with what is wrong', async (t) => {
  const { driver, part, asked, settle, ends } = started()
  for (const n of [1, 2]) part(n)
  for (let round = 1; round <= 3; round++) {
    settle(wrong([2, 'etag-2']))
    t.strictSame(asked(), [], `round ${round}`)
    part(2)
    t.strictSame(asked(), ['complete'])
  }
  settle(wrong([2, 'etag-2']))
  t.strictSame(asked(), ['abort'])
  settle(ABORTED)
  t.strictSame(ends(), ['UploadAborted REJECTED'])
  t.match(driver.read(videoEvents, 'UploadAborted')[0]?.data, MISSING)
})

t.test('an upload whose part is wanted again still has its time, and no more', async (t) => {
  const { driver, part, asked, settle, ends } = started()
  for (const n of [1, 2]) part(n)
  driver.advance(23 * HOUR_MS)
  settle(wrong([2, 'etag-2']))
  driver.advance(HOUR_MS - 1)
  t.strictSame(asked(), [])
  driver.advance(1)
  t.strictSame(asked(), ['abort'])
  settle(ABORTED)
  t.strictSame(ends(), ['UploadAborted EXPIRED'])
})

t.test('one whose time is over while it is completed ends when a part is wrong', async (t) => {
  const { driver, part, asked, settle } = started()
  for (const n of [1, 2]) part(n)
  driver.advance(48 * HOUR_MS)
  settle(wrong([2, 'etag-2']))
  driver.advance(0)
  t.strictSame(asked(), ['abort'])
  t.match(driver.effects()[0]?.input, { reason: 'EXPIRED' })
})

t.test('a replay of an upload with rejected parts does nothing again', async (t) => {
  for (const finished of [true, false]) {
    const { driver, part, asked, settle, ends } = started(3)
    for (const n of [1, 2, 3]) part(n)
    settle(wrong([1, 'etag-1'], [3, 'etag-3']))
    if (finished) {
      part(1)
      part(3)
      settle(COMPLETED)
    }
    const before = driver.read(videoEvents).length
    driver.lose('finish-upload')
    t.strictSame(asked(), [], finished ? 'completed' : 'receiving again')
    t.equal(driver.read(videoEvents).length, before)
    if (finished) continue
    part(1)
    part(3)
    t.strictSame(asked(), ['complete'])
    settle(COMPLETED)
    t.strictSame(ends(), ['UploadCompleted'])
  }
})

t.test('a store that cannot complete for hours ends the upload, not the waiting', async (t) => {
  const { driver, part, asked } = started()
  for (const n of [1, 2]) part(n)
  for (let run = 0; run < 100; run++) {
    t.strictSame(asked(), ['complete'])
    driver.fail(driver.effects()[0]?.id ?? '', { code: 'S3_UNAVAILABLE', detail: 'away', retryable: true })
  }
  t.strictSame(asked(), ['abort'])
  t.match(driver.effects()[0]?.input, { reason: 'REJECTED', code: 'UPLOAD_FAILED' })
})

t.test('says that the upload is over although its parts could not be thrown away', async (t) => {
  const { driver, askToAbort, ends } = started()
  askToAbort()
  driver.fail(driver.effects()[0]?.id ?? '', { code: 'ACCESS_DENIED', detail: 'no', retryable: false })
  t.strictSame(ends(), ['UploadAborted CLIENT'])
})

t.test('the deletion of the video throws the parts away, whatever was going on', async (t) => {
  for (const before of ['receiving', 'completing', 'aborting']) {
    const { driver, part, askToAbort, remove, asked, settle, ends } = started()
    part(1)
    if (before === 'completing') part(2)
    if (before === 'aborting') askToAbort()
    remove()
    t.strictSame(asked(), ['abort'], before)
    settle(ABORTED)
    driver.advance(48 * HOUR_MS)
    t.strictSame(asked(), [])
    t.strictSame(ends(), [], 'nothing more is said about a deleted video')
  }
})

t.test('an imported video has no upload', async (t) => {
  const driver = testDriver([finishUpload])
  driver.pipe(videoEvents, 'UploadCompleted', VIDEO, { ...examples.UploadCompleted, authorId: 'author-1' })
  driver.pipe(videoEvents, 'VideoDeleted', VIDEO, examples.VideoDeleted)
  t.strictSame(driver.effects(), [])
})

t.test('survives a restart at every step', async (t) => {
  const { driver, part, asked, settle, ends } = started()
  part(1)
  driver.restart()
  part(2)
  driver.restart()
  t.strictSame(asked(), ['complete'])
  settle(COMPLETED)
  driver.restart()
  t.strictSame(asked(), [])
  t.strictSame(ends(), ['UploadCompleted'])
})
