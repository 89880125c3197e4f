import t from 'tap'
import { createCodec } from '../../runtime/codec/avro.ts'
import { memoryDirectory } from '../../runtime/codec/schema-directory.ts'
import { TaskCore } from '../../runtime/task/task-core.ts'
import { testDriver } from '../../runtime/testing/test-driver.ts'
import { examples, EXAMPLE_VIDEO_ID as VIDEO } from '../../schemas/examples.ts'
import { videoEvents, videoIntake } from '../../schemas/topics.ts'
import { admitEvents } from './processor.ts'

const DAY_MS = 24 * 60 * 60 * 1000
const processor = admitEvents({ mediaBucket: examples.UploadStarted.bucket, importSources: ['archive'] })
const imported = {
  ...examples.UploadCompleted,
  bucket: 'archive',
  authorId: 'author-1',
  details: examples.UploadStarted.details,
}
const change = { ...examples.VideoDetailsChanged, expectedRevision: null, revision: null }

const open = () => {
  const driver = testDriver([processor])
  const types = () => driver.read(videoEvents).map(({ type }) => type)
  const causes = () => driver.read(videoEvents).map(({ headers }) => headers.causationid)
  return { driver, types, causes }
}

t.test('every claim ends in one record that names it as its cause', async (t) => {
  const { driver, types, causes } = open()
  driver.pipe(videoIntake, 'PartUploaded', VIDEO, examples.PartUploaded, { id: 'too-early' })
  driver.pipe(videoIntake, 'UploadStarted', VIDEO, examples.UploadStarted, { id: 'start' })
  driver.pipe(videoIntake, 'PartUploaded', VIDEO, examples.PartUploaded, { id: 'part' })
  driver.pipe(videoIntake, 'UploadStarted', VIDEO, examples.UploadStarted, { id: 'again' })
  t.strictSame(types(), ['ClaimRefused', 'UploadStarted', 'PartUploaded', 'ClaimRefused'])
  t.strictSame(causes(), ['too-early', 'start', 'part', 'again'])
  t.match(driver.read(videoEvents, 'ClaimRefused')[1]?.data, {
    causeId: 'again',
    claimType: 'UploadStarted',
    code: 'ALREADY_STARTED',
  })
})

t.test('writes the fact as it was claimed, and adds the revision', async (t) => {
  const { driver } = open()
  driver.pipe(videoIntake, 'UploadStarted', VIDEO, examples.UploadStarted)
  driver.pipe(videoIntake, 'VideoDetailsChanged', VIDEO, change)
  driver.pipe(videoIntake, 'VideoDetailsChanged', VIDEO, { ...change, expectedRevision: 2 })
  t.match(driver.read(videoEvents, 'UploadStarted')[0]?.data, examples.UploadStarted)
  t.strictSame(
    driver.read(videoEvents, 'VideoDetailsChanged').map(({ data }) => data.revision),
    [2, 3],
  )
})

// The idempotency rules of the events that pass the door: the same claim doubled, and delayed past its successors.
const claims = [
  ['UploadStarted', examples.UploadStarted],
  ['PartUploaded', examples.PartUploaded],
  ['VideoDetailsChanged', change],
  ['UploadAbortRequested', examples.UploadAbortRequested],
  ['VideoDeleted', examples.VideoDeleted],
] as const

t.test('the same claim doubled gives nothing', async (t) => {
  const { driver, types } = open()
  for (const [event, data] of claims) {
    driver.pipe(videoIntake, event, VIDEO, data, { id: event })
    driver.pipe(videoIntake, event, VIDEO, data, { id: event })
  }
  t.strictSame(
    types(),
    claims.map(([event]) => event),
  )
})

t.test('the same claim delayed past its successors gives nothing, also after a restart', async (t) => {
  const { driver, types } = open()
  for (const [event, data] of claims) driver.pipe(videoIntake, event, VIDEO, data, { id: event })
  driver.restart()
  for (const [event, data] of claims) driver.pipe(videoIntake, event, VIDEO, data, { id: event })
  t.strictSame(
    types(),
    claims.map(([event]) => event),
  )
})

t.test('a refused claim that comes again gives nothing', async (t) => {
  const { driver, types } = open()
  driver.pipe(videoIntake, 'VideoDeleted', VIDEO, examples.VideoDeleted, { id: 'early' })
  driver.pipe(videoIntake, 'UploadStarted', VIDEO, examples.UploadStarted)
  driver.pipe(videoIntake, 'VideoDeleted', VIDEO, examples.VideoDeleted, { id: 'early' })
  t.strictSame(types(), ['ClaimRefused', 'UploadStarted'])
})

t.test('an older report of a part does not come back over a newer one', async (t) => {
  const { driver } = open()
  const report = (etag: string, id: string) =>
    driver.pipe(videoIntake, 'PartUploaded', VIDEO, { ...examples.PartUploaded, etag }, { id })
  driver.pipe(videoIntake, 'UploadStarted', VIDEO, examples.UploadStarted)
  report('first', 'claim-1')
  report('second', 'claim-2')
  report('first', 'claim-1')
  t.strictSame(
    driver.read(videoEvents, 'PartUploaded').map(({ data }) => data.etag),
    ['first', 'second'],
  )
})

t.test('the first import wins, and the same object claimed once more is refused', async (t) => {
  const { driver, types } = open()
  driver.pipe(videoIntake, 'UploadCompleted', VIDEO, imported, { id: 'import' })
  driver.pipe(videoIntake, 'UploadCompleted', VIDEO, imported, { id: 'import' })
  driver.pipe(videoIntake, 'UploadCompleted', VIDEO, { ...imported, etag: 'other' }, { id: 'other' })
  t.strictSame(types(), ['UploadCompleted', 'ClaimRefused'])
  t.match(driver.read(videoEvents, 'ClaimRefused')[0]?.data, { code: 'ALREADY_IMPORTED' })
})

t.test('learns from the facts of others that the upload is over', async (t) => {
  const { driver } = open()
  driver.pipe(videoIntake, 'UploadStarted', VIDEO, examples.UploadStarted)
  driver.pipe(videoEvents, 'UploadCompleted', VIDEO, examples.UploadCompleted)
  driver.pipe(videoIntake, 'PartUploaded', VIDEO, examples.PartUploaded)
  t.match(driver.read(videoEvents, 'ClaimRefused')[0]?.data, { code: 'UPLOAD_OVER' })
})

t.test('knows from the log alone which claims were answered', async (t) => {
  const { driver, types } = open()
  driver.pipe(videoEvents, 'UploadStarted', VIDEO, examples.UploadStarted, { causationId: 'start' })
  driver.pipe(videoEvents, 'PartUploaded', VIDEO, examples.PartUploaded, { causationId: 'part' })
  driver.pipe(videoEvents, 'ClaimRefused', VIDEO, { ...examples.ClaimRefused, causeId: 'refused' })
  driver.pipe(videoEvents, 'UploadCompleted', VIDEO, examples.UploadCompleted, { causationId: 'fact-of-a-part' })
  const facts = types()
  driver.pipe(videoIntake, 'UploadStarted', VIDEO, examples.UploadStarted, { id: 'start' })
  driver.pipe(videoIntake, 'PartUploaded', VIDEO, examples.PartUploaded, { id: 'part' })
  driver.pipe(videoIntake, 'VideoDetailsChanged', VIDEO, change, { id: 'refused' })
  t.strictSame(types(), facts)
  const { claim, partClaim } = driver.state('admit-events', VIDEO)
  t.strictSame(Object.keys({ ...claim, ...partClaim }).sort(), ['part', 'refused', 'start'])
})

t.test('remembers parts until none can come again, and then forgets them all', async (t) => {
  const { driver, types } = open()
  const remembered = () => Object.keys(driver.state('admit-events', VIDEO).partClaim ?? {}).length
  driver.pipe(videoIntake, 'UploadStarted', VIDEO, examples.UploadStarted)
  driver.pipe(videoIntake, 'PartUploaded', VIDEO, examples.PartUploaded, { id: 'part' })
  driver.pipe(videoEvents, 'UploadCompleted', VIDEO, examples.UploadCompleted)
  const facts = types()
  driver.advance(7 * DAY_MS)
  driver.pipe(videoIntake, 'PartUploaded', VIDEO, examples.PartUploaded, { id: 'part' })
  t.strictSame(types(), facts)
  t.equal(remembered(), 1)
  driver.advance(DAY_MS)
  t.equal(remembered(), 0)
})

t.test('knows for ever that a video was deleted', async (t) => {
  const { driver } = open()
  driver.pipe(videoIntake, 'UploadStarted', VIDEO, examples.UploadStarted)
  driver.pipe(videoIntake, 'VideoDeleted', VIDEO, examples.VideoDeleted)
  driver.advance(1_000 * DAY_MS)
  driver.restart()
  driver.pipe(videoIntake, 'VideoDetailsChanged', VIDEO, change)
  t.match(driver.read(videoEvents, 'ClaimRefused')[0]?.data, { code: 'VIDEO_DELETED' })
})

t.test('decides the second of two claims although the first fact has not come back yet', async (t) => {
  const codec = createCodec(memoryDirectory())
  const core = new TaskCore({ processor, codec, source: '/test', task: 0, instanceId: 'test' })
  const schema = videoIntake.events.UploadStarted
  for (const [offset, id] of ['first', 'second'].entries()) {
    const headers = { ce_id: id, ce_type: schema.name }
    const value = codec.encode(schema, examples.UploadStarted)
    const place = { topic: videoIntake.name, partition: 0, offset: BigInt(offset), timestampMs: 0 }
    core.fold({ ...place, key: VIDEO, value, headers }, 0)
  }
  t.strictSame(
    core.takeBatch()?.outputs.map(({ headers }) => headers.ce_type),
    ['reelstream.UploadStarted', 'reelstream.ClaimRefused'],
  )
})
