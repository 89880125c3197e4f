import t from 'tap'
import { parseLadder } from '../../media/ladder.ts'
import { testDriver } from '../../runtime/testing/test-driver.ts'
import { examples, EXAMPLE_VIDEO_ID as VIDEO } from '../../schemas/examples.ts'
import type { Job } from '../../schemas/generated.ts'
import { DEFAULT_POOL, transcodePool, videoEvents } from '../../schemas/topics.ts'
import { encodingJobs } from './jobs.ts'
import { planRenditions } from './processor.ts'

const LADDER = parseLadder(`
renditions:
  - { name: 720p, width: 1280, height: 720, crf: 23, maxrateBps: 2800000, bufsizeBits: 4200000, preset: veryfast, profile: high }
  - { name: 180p, width: 320, height: 180, crf: 23, maxrateBps: 200000, bufsizeBits: 300000, preset: veryfast, profile: high }
audio: { name: aac, bitrateBps: 128000, channels: 2, sampleRate: 48000, maxTracks: 4 }
`)
const processor = planRenditions({ ladder: LADDER, ladderHash: 'hash', toolchain: 'ffmpeg 5.1.9' })
const { bucket, objectKey, etag, sizeBytes } = examples.UploadCompleted
const SOURCE = { bucket, objectKey, etag, sizeBytes }
const COMPLETE = examples.PlaylistPublished

const probed = () => {
  const driver = testDriver([processor])
  driver.pipe(videoEvents, 'UploadCompleted', VIDEO, examples.UploadCompleted)
  driver.pipe(videoEvents, 'SourceProbed', VIDEO, examples.SourceProbed)
  const jobs = (): readonly Job[] => driver.read(transcodePool, 'JobsRequested').flatMap(({ data }) => data.jobs)
  const plans = () => driver.read(videoEvents, 'TranscodePlanned').map(({ data }) => data)
  return { driver, jobs, plans }
}

t.test('plans the first generation of a probed source', async (t) => {
  const { plans } = probed()
  t.match(plans(), [{ generation: 1, ladderHash: 'hash', toolchain: 'ffmpeg 5.1.9', source: SOURCE }])
  t.strictSame(
    plans()[0]?.plan.renditions.map(({ name }) => name),
    ['720p', '180p'],
  )
})

t.test('asks the pool for the sound and for each chunk of the picture', async (t) => {
  const { driver, jobs } = probed()
  t.match(jobs(), [
    { kind: 'AUDIO', track: 'audio-0', videoId: VIDEO, generation: 1, source: SOURCE, playlistKey: null },
    { kind: 'VIDEO', track: 'video', chunkIndex: 0, videoId: VIDEO, generation: 1, source: SOURCE },
  ])
  t.equal(jobs().length, 2)
  t.equal(driver.read(transcodePool, 'JobsRequested')[0]?.key, DEFAULT_POOL)
})

t.test('asks for thumbnails of the smallest picture when the whole video is published', async (t) => {
  const { driver, jobs } = probed()
  driver.pipe(videoEvents, 'PlaylistPublished', VIDEO, { ...COMPLETE, complete: false })
  t.equal(jobs().length, 2)
  driver.pipe(videoEvents, 'PlaylistPublished', VIDEO, COMPLETE)
  t.match(jobs()[2], { kind: 'THUMBNAILS', track: 'thumbnails', playlistKey: COMPLETE.renditions[1]?.playlistKey })
})

t.test('PlaylistPublished: doubled it asks for thumbnails once', async (t) => {
  const { driver, jobs } = probed()
  driver.pipe(videoEvents, 'PlaylistPublished', VIDEO, COMPLETE)
  driver.pipe(videoEvents, 'PlaylistPublished', VIDEO, COMPLETE)
  t.equal(jobs().length, 3)
})

t.test('TranscodePlanned: the first plan of a generation wins, whatever comes again or late', async (t) => {
  const { driver, jobs, plans } = probed()
  driver.pipe(videoEvents, 'SourceProbed', VIDEO, examples.SourceProbed)
  driver.pipe(videoEvents, 'UploadCompleted', VIDEO, examples.UploadCompleted)
  driver.pipe(videoEvents, 'SourceProbed', VIDEO, examples.SourceProbed)
  driver.pipe(videoEvents, 'PlaylistPublished', VIDEO, COMPLETE)
  driver.pipe(videoEvents, 'TranscodePlanned', VIDEO, examples.TranscodePlanned)
  driver.restart()
  driver.pipe(videoEvents, 'SourceProbed', VIDEO, examples.SourceProbed)
  driver.pipe(videoEvents, 'PlaylistPublished', VIDEO, COMPLETE)
  t.equal(jobs().length, 3)
  t.equal(plans().length, 2, 'its own, and the one of this test')
})

t.test('learns from the log that a plan was made', async (t) => {
  const driver = testDriver([processor])
  driver.pipe(videoEvents, 'UploadCompleted', VIDEO, examples.UploadCompleted)
  driver.pipe(videoEvents, 'TranscodePlanned', VIDEO, examples.TranscodePlanned)
  driver.pipe(videoEvents, 'SourceProbed', VIDEO, examples.SourceProbed)
  t.equal(driver.read(transcodePool).length, 0)
})

t.test('what was probed of another object is not planned', async (t) => {
  const driver = testDriver([processor])
  driver.pipe(videoEvents, 'UploadCompleted', VIDEO, examples.UploadCompleted)
  driver.pipe(videoEvents, 'SourceProbed', VIDEO, { ...examples.SourceProbed, etag: 'other' })
  t.equal(driver.read(videoEvents, 'TranscodePlanned').length, 0)
})

t.test('the deletion of the video cancels its jobs, and nothing is planned after it', async (t) => {
  const { driver, jobs } = probed()
  driver.pipe(videoEvents, 'VideoDeleted', VIDEO, examples.VideoDeleted)
  driver.pipe(videoEvents, 'VideoDeleted', VIDEO, examples.VideoDeleted)
  t.match(driver.read(transcodePool, 'JobsCancelled'), [{ key: DEFAULT_POOL, data: { videoId: VIDEO } }])
  driver.pipe(videoEvents, 'PlaylistPublished', VIDEO, COMPLETE)
  t.equal(jobs().length, 2)
})

t.test('the deletion of a video that was never planned cancels nothing', async (t) => {
  const driver = testDriver([processor])
  driver.pipe(videoEvents, 'UploadCompleted', VIDEO, examples.UploadCompleted)
  driver.pipe(videoEvents, 'VideoDeleted', VIDEO, examples.VideoDeleted)
  t.equal(driver.read(transcodePool).length, 0)
})

t.test('a job carries its own chunk only, and the same encode gives the same ids', async (t) => {
  const chunks = [0, 1, 2].map((index) => ({
    index,
    startFrame: index * 750,
    endFrame: (index + 1) * 750,
    seekUs: null,
  }))
  const encode = { videoId: VIDEO, generation: 1, source: SOURCE, plan: { ...examples.TranscodePlanned.plan, chunks } }
  const jobs = encodingJobs(encode)
  t.strictSame(
    jobs.map(({ kind, plan }) => [kind, plan.chunks.map(({ index }) => index)]),
    [
      ['AUDIO', []],
      ['VIDEO', [0]],
      ['VIDEO', [1]],
      ['VIDEO', [2]],
    ],
  )
  t.strictSame(encodingJobs(encode), jobs)
  t.equal(new Set(jobs.map(({ jobId }) => jobId)).size, 4)
  t.not(encodingJobs({ ...encode, generation: 2 })[0]?.jobId, jobs[0]?.jobId)
})
