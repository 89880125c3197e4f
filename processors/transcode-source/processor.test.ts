import t from 'tap'
import { createCodec } from '../../runtime/codec/avro.ts'
import { memoryDirectory } from '../../runtime/codec/schema-directory.ts'
import { TaskCore } from '../../runtime/task/task-core.ts'
import { testDriver } from '../../runtime/testing/test-driver.ts'
import { examples, EXAMPLE_VIDEO_ID as VIDEO } from '../../schemas/examples.ts'
import type { Job } from '../../schemas/generated.ts'
import { DEFAULT_POOL, transcodeJobs, transcodePool, videoEvents } from '../../schemas/topics.ts'
import type { SegmentReport } from './generated.ts'
import { transcodeSource } from './processor.ts'

const SETTINGS = { workerId: 'worker-1', videoSlots: 1, lightSlots: 2 }
const VIDEO_JOB: Job = examples.JobReleased.job
const AUDIO_JOB: Job = { ...VIDEO_JOB, jobId: 'job-audio', kind: 'AUDIO', track: 'audio-0' }
const THUMBNAILS_JOB: Job = {
  ...VIDEO_JOB,
  jobId: 'job-thumbnails',
  kind: 'THUMBNAILS',
  track: 'thumbnails',
  playlistKey: 'v/x/g1/r7/video-180p.m3u8',
}
const DONE = { ok: true, value: { done: { frames: 1_500, cpuMs: 48_000, wallMs: 27_000 }, failure: null } } as const
const FAILURE = { code: 'TRUNCATED', detail: '812 of 1500 frames could be decoded', retryable: false }
const failed = (failure: typeof FAILURE) => ({ ok: true, value: { done: null, failure } }) as const
const report = (index: number): SegmentReport => ({ index, renditions: examples.SegmentsTranscoded.renditions })

const released = (job: Job, attempt = 1) => {
  const driver = testDriver([transcodeSource(SETTINGS)])
  const release = (attempt: number) => driver.pipe(transcodeJobs, 'JobReleased', job.jobId, { job, attempt })
  release(attempt)
  return {
    driver,
    release,
    cancel: () => driver.pipe(transcodeJobs, 'JobCancelled', job.jobId, { videoId: VIDEO }),
    asked: () => driver.effects().map(({ name }) => name),
    effectId: () => driver.effects()[0]?.id ?? '',
    facts: () => driver.read(videoEvents).map(({ type }) => type),
    settlements: () => driver.read(transcodePool, 'JobSettled').map(({ data }) => data),
  }
}

t.test('announces its lane and its slots before it reads anything', async (t) => {
  const driver = testDriver([transcodeSource(SETTINGS)])
  t.match(driver.read(transcodePool), [
    { type: 'LaneOpened', key: DEFAULT_POOL, data: { lane: 0, ...SETTINGS, held: [] } },
  ])
})

t.test('a lane that is taken over says what it holds', async (t) => {
  const { driver } = released(VIDEO_JOB)
  driver.restart()
  t.match(driver.read(transcodePool, 'LaneOpened').at(-1)?.data, { held: [VIDEO_JOB.jobId] })
})

t.test('a lane that is given up gracefully is closed', async (t) => {
  const codec = createCodec(memoryDirectory())
  const processor = transcodeSource(SETTINGS)
  const core = new TaskCore({ processor, codec, source: '/test', task: 3, instanceId: 'test' })
  core.runHook('closed', 0)
  const [output] = core.takeBatch()?.outputs ?? []
  t.match(output, { topic: transcodePool.name, key: DEFAULT_POOL, headers: { ce_type: 'reelstream.LaneClosed' } })
  const closed = codec.decode(transcodePool.events.LaneClosed, output?.value ?? Buffer.alloc(0))
  t.match(closed, { lane: 3, workerId: 'worker-1' })
})

t.test('encodes the chunk that the job names', async (t) => {
  const { driver, asked } = released(VIDEO_JOB)
  t.strictSame(asked(), ['transcodeVideo'])
  t.match(driver.effects()[0]?.input, {
    jobId: VIDEO_JOB.jobId,
    videoId: VIDEO,
    generation: 1,
    attempt: 1,
    source: VIDEO_JOB.source,
    chunk: VIDEO_JOB.plan.chunks[0],
  })
})

t.test('encodes the sound track that the job names', async (t) => {
  const { driver, asked } = released(AUDIO_JOB)
  t.strictSame(asked(), ['transcodeAudio'])
  t.match(driver.effects()[0]?.input, { audio: AUDIO_JOB.plan.audio[0] })
})

t.test('makes thumbnails of the playlist that the job names', async (t) => {
  const { driver, asked, effectId, settlements } = released(THUMBNAILS_JOB)
  t.strictSame(asked(), ['extractThumbnails'])
  t.match(driver.effects()[0]?.input, { playlistKey: THUMBNAILS_JOB.playlistKey })
  const { generation, ...keys } = examples.ThumbnailsExtracted
  driver.settle(effectId(), { ok: true, value: { done: keys, failure: null } })
  t.match(driver.read(videoEvents), [{ type: 'ThumbnailsExtracted', key: VIDEO, data: { generation, ...keys } }])
  t.match(settlements(), [{ jobId: THUMBNAILS_JOB.jobId, ok: true }])
})

t.test('segments become facts of the video as they close', async (t) => {
  const { driver, effectId } = released(VIDEO_JOB)
  driver.report(effectId(), 1, report(0))
  driver.report(effectId(), 2, report(1))
  t.match(driver.read(videoEvents, 'SegmentsTranscoded'), [
    { key: VIDEO, data: { generation: 1, track: 'video', chunkIndex: 0, firstIndex: 0 } },
    { key: VIDEO, data: { firstIndex: 1, renditions: examples.SegmentsTranscoded.renditions } },
  ])
})

t.test('segments of a later chunk keep their place in the track', async (t) => {
  const chunk = { index: 3, startFrame: 2_250, endFrame: 3_000, seekUs: 90_000_000 }
  const { driver, effectId } = released({ ...VIDEO_JOB, chunkIndex: 3, plan: { ...VIDEO_JOB.plan, chunks: [chunk] } })
  driver.report(effectId(), 1, report(17))
  t.match(driver.read(videoEvents, 'SegmentsTranscoded')[0]?.data, { chunkIndex: 3, firstIndex: 17 })
})

t.test('segments of sound name their track', async (t) => {
  const { driver, effectId } = released(AUDIO_JOB)
  driver.report(effectId(), 1, report(0))
  t.match(driver.read(videoEvents, 'SegmentsTranscoded')[0]?.data, { track: 'audio-0', chunkIndex: 0 })
})

t.test('a report that comes twice is one fact, also after a restart', async (t) => {
  const { driver, effectId, facts } = released(VIDEO_JOB)
  driver.report(effectId(), 1, report(0))
  driver.restart()
  driver.report(effectId(), 1, report(0))
  t.strictSame(facts(), ['SegmentsTranscoded'])
})

t.test('tells the video what was made and the pool that a slot is free', async (t) => {
  const { driver, effectId, settlements } = released(VIDEO_JOB, 2)
  driver.settle(effectId(), DONE)
  t.match(driver.read(videoEvents), [
    {
      type: 'ChunkTranscoded',
      key: VIDEO,
      data: { generation: 1, track: 'video', chunkIndex: 0, frames: 1_500, worker: 'worker-1', attempt: 2 },
    },
  ])
  t.match(settlements(), [
    { jobId: VIDEO_JOB.jobId, videoId: VIDEO, attempt: 2, ok: true, code: null, retryable: false },
  ])
  t.strictSame(driver.state('transcode-source', VIDEO_JOB.jobId), { run: {} }, 'the job leaves nothing behind')
})

t.test('tells both why a job failed', async (t) => {
  for (const retryable of [false, true]) {
    const { driver, effectId, settlements } = released(VIDEO_JOB)
    driver.settle(effectId(), failed({ ...FAILURE, retryable }))
    t.match(driver.read(videoEvents, 'ChunkFailed')[0]?.data, { track: 'video', attempt: 1, ...FAILURE, retryable })
    t.match(settlements(), [{ ok: false, attempt: 1, ...FAILURE, retryable }])
  }
})

t.test('a job that cannot be carried out may be tried elsewhere', async (t) => {
  const { driver, effectId, settlements } = released(VIDEO_JOB)
  driver.fail(effectId(), { code: 'S3_UNAVAILABLE', detail: 'away', retryable: true })
  t.match(settlements(), [{ ok: false, code: 'S3_UNAVAILABLE', retryable: true }])
})

t.test('a job that killed its worker five times in a row is not given to another', async (t) => {
  const { driver, effectId, settlements } = released(VIDEO_JOB)
  for (let run = 0; run < 5; run++) driver.crash(effectId())
  t.match(settlements(), [{ ok: false, code: 'CRASHED', retryable: false }])
})

t.test('an executor that gives nothing at all has failed', async (t) => {
  const { driver, effectId, settlements } = released(VIDEO_JOB)
  driver.settle(effectId(), { ok: true, value: { done: null, failure: null } })
  t.match(settlements(), [{ ok: false, code: 'NO_RESULT' }])
})

t.test('a job whose plan has no such chunk, track or playlist fails at once', async (t) => {
  const { plan } = VIDEO_JOB
  for (const job of [
    { ...VIDEO_JOB, chunkIndex: 7 },
    { ...AUDIO_JOB, track: 'audio-9' },
    { ...THUMBNAILS_JOB, playlistKey: null },
  ]) {
    const { asked, settlements } = released({ ...job, plan })
    t.strictSame(asked(), [])
    t.match(settlements(), [{ ok: false, code: 'JOB_INVALID', retryable: false }])
  }
})

t.test('JobReleased: doubled it runs once', async (t) => {
  const { release, asked } = released(VIDEO_JOB)
  release(1)
  t.strictSame(asked(), ['transcodeVideo'])
})

t.test('JobReleased: delayed past its end it does not run again', async (t) => {
  for (const outcome of [DONE, failed(FAILURE), failed({ ...FAILURE, retryable: true })]) {
    const { driver, release, asked, effectId, settlements } = released(VIDEO_JOB)
    driver.settle(effectId(), outcome)
    driver.restart()
    release(1)
    t.strictSame(asked(), [])
    t.equal(settlements().length, 1)
  }
})

t.test('the next attempt of a job may come to the same lane', async (t) => {
  const { driver, release, asked, effectId } = released(VIDEO_JOB)
  driver.settle(effectId(), failed({ ...FAILURE, retryable: true }))
  release(2)
  t.strictSame(asked(), ['transcodeVideo'])
  t.match(driver.effects()[0]?.input, { attempt: 2 })
})

t.test('JobCancelled: the job stops, and nothing more is said', async (t) => {
  const { driver, cancel, release, asked, facts, settlements } = released(VIDEO_JOB)
  cancel()
  cancel()
  release(1)
  t.strictSame(asked(), [])
  t.strictSame(facts(), [])
  t.strictSame(settlements(), [])
  t.strictSame(driver.state('transcode-source', VIDEO_JOB.jobId), { run: {} })
})

t.test('forgets a failed attempt when its release cannot come again', async (t) => {
  const { driver, effectId } = released(VIDEO_JOB)
  driver.settle(effectId(), failed({ ...FAILURE, retryable: true }))
  driver.advance(transcodeJobs.retentionMs - 1)
  t.match(driver.state('transcode-source', VIDEO_JOB.jobId), { run: { '': { attempt: 1 } } })
  driver.advance(1)
  t.strictSame(driver.state('transcode-source', VIDEO_JOB.jobId), { run: {} })
})
