import t from 'tap'
import { testDriver } from '../../runtime/testing/test-driver.ts'
import { examples, EXAMPLE_VIDEO_ID as VIDEO } from '../../schemas/examples.ts'
import { videoEvents } from '../../schemas/topics.ts'
import { probeSource } from './processor.ts'

const completed = () => {
  const driver = testDriver([probeSource])
  driver.pipe(videoEvents, 'UploadCompleted', VIDEO, examples.UploadCompleted)
  const said = () => driver.read(videoEvents).flatMap(({ type }) => (type.startsWith('Source') ? [type] : []))
  const effectId = () => driver.effects()[0]?.id ?? ''
  return { driver, said, effectId }
}

t.test('probes the object that the upload made, pinned to its etag', async (t) => {
  const { driver } = completed()
  const { bucket, objectKey, etag, sizeBytes } = examples.UploadCompleted
  t.match(driver.effects(), [{ name: 'probe', input: { source: { bucket, objectKey, etag, sizeBytes } } }])
})

t.test('says what the source is', async (t) => {
  const { driver, effectId, said } = completed()
  driver.settle(effectId(), { ok: true, value: { source: examples.SourceProbed.source, rejection: null } })
  t.strictSame(said(), ['SourceProbed'])
  t.match(driver.read(videoEvents, 'SourceProbed')[0]?.data, examples.SourceProbed)
})

t.test('says why the source is rejected', async (t) => {
  const { driver, effectId, said } = completed()
  driver.settle(effectId(), { ok: true, value: { source: null, rejection: examples.SourceRejected } })
  t.strictSame(said(), ['SourceRejected'])
  t.match(driver.read(videoEvents, 'SourceRejected')[0]?.data, examples.SourceRejected)
})

t.test('rejects a source that cannot be examined, with a sentence for the uploader', async (t) => {
  const { driver, effectId } = completed()
  driver.fail(effectId(), { code: 'FFPROBE_CRASHED', detail: 'signal 11 in libavcodec', retryable: false })
  const [rejected] = driver.read(videoEvents, 'SourceRejected')
  t.match(rejected?.data, { code: 'PROBE_FAILED', detail: /^The file could not be examined/ })
})

t.test('tries again when the store is away', async (t) => {
  const { driver, effectId, said } = completed()
  driver.fail(effectId(), { code: 'S3_UNAVAILABLE', detail: 'away', retryable: true })
  t.equal(driver.effects().length, 1)
  t.strictSame(said(), [])
})

t.test('a source that kills its process five times in a row is rejected', async (t) => {
  const { driver, effectId, said } = completed()
  for (let run = 0; run < 5; run++) {
    t.strictSame(said(), [])
    driver.crash(effectId())
  }
  t.strictSame(said(), ['SourceRejected'])
})

t.test('UploadCompleted: doubled it is probed once, and the first object wins', async (t) => {
  const { driver } = completed()
  driver.pipe(videoEvents, 'UploadCompleted', VIDEO, examples.UploadCompleted)
  driver.pipe(videoEvents, 'UploadCompleted', VIDEO, { ...examples.UploadCompleted, etag: 'other' })
  t.match(driver.effects(), [{ input: { source: { etag: examples.UploadCompleted.etag } } }])
  t.equal(driver.effects().length, 1)
})

t.test('UploadCompleted: delayed past what was said about it, nothing happens', async (t) => {
  const { driver, effectId, said } = completed()
  driver.settle(effectId(), { ok: true, value: { source: examples.SourceProbed.source, rejection: null } })
  driver.restart()
  driver.pipe(videoEvents, 'UploadCompleted', VIDEO, examples.UploadCompleted)
  t.strictSame(driver.effects(), [])
  t.strictSame(said(), ['SourceProbed'])
})

t.test('the deletion of the video ends the probe', async (t) => {
  const { driver } = completed()
  driver.pipe(videoEvents, 'VideoDeleted', VIDEO, examples.VideoDeleted)
  t.strictSame(driver.effects(), [])
})
