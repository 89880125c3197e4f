import t from 'tap'
import { testDriver } from '../../runtime/testing/test-driver.ts'
import { examples } from '../../schemas/examples.ts'
import type { Job, JobKind, JobSettled } from '../../schemas/generated.ts'
import { DEFAULT_POOL, transcodeJobs, transcodePool, videoEvents } from '../../schemas/topics.ts'
import { scheduleTranscodes } from './processor.ts'

const DAY_MS = 24 * 60 * 60 * 1000
const MINUTE_MS = 60 * 1000
const NAME = 'schedule-transcodes'

const job = (jobId: string, kind: JobKind = 'VIDEO', videoId = 'film'): Job => ({
  ...examples.JobReleased.job,
  jobId,
  kind,
  videoId,
})

const open = () => {
  const driver = testDriver([scheduleTranscodes])
  return {
    driver,
    request: (...jobs: readonly Job[]) => driver.pipe(transcodePool, 'JobsRequested', DEFAULT_POOL, { jobs }),
    lane: (lane: number, workerId: string, held: readonly string[] = [], videoSlots = 1, lightSlots = 1) =>
      driver.pipe(transcodePool, 'LaneOpened', DEFAULT_POOL, { lane, workerId, videoSlots, lightSlots, held }),
    close: (lane: number, workerId: string) =>
      driver.pipe(transcodePool, 'LaneClosed', DEFAULT_POOL, { lane, workerId }),
    cancel: (videoId: string) => driver.pipe(transcodePool, 'JobsCancelled', DEFAULT_POOL, { videoId }),
    hold: (untilMs: number) => driver.pipe(transcodePool, 'ReleasesHeld', DEFAULT_POOL, { untilMs }),
    settle: (jobId: string, settled: Partial<JobSettled> = {}) =>
      driver.pipe(transcodePool, 'JobSettled', DEFAULT_POOL, { ...SUCCESS, jobId, ...settled }),
    /** What was written to the lanes: `lane:job` for a release, with the attempt from the second on; `-` = cancelled. */
    said: () =>
      driver.read(transcodeJobs).map(({ type, key, partition, data }) => {
        if (type === 'JobCancelled') return `${partition}:-${key}`
        const { attempt } = data as { attempt: number }
        return `${partition}:${key}${attempt === 1 ? '' : `#${attempt}`}`
      }),
    failures: () => driver.read(videoEvents, 'TranscodeFailed'),
  }
}
const SUCCESS: JobSettled = {
  jobId: '',
  videoId: 'film',
  attempt: 1,
  ok: true,
  code: null,
  detail: null,
  retryable: false,
}
const FAILURE = { ok: false, code: 'ENCODER_STALLED', detail: 'no frame for 30 s', retryable: true }

t.test('keeps jobs back until a worker has a free slot', async (t) => {
  const { request, lane, settle, said } = open()
  request(job('a'), job('b'), job('c'))
  t.strictSame(said(), [])
  lane(0, 'w1')
  t.strictSame(said(), ['0:a'])
  settle('a')
  t.strictSame(said(), ['0:a', '0:b'])
})

t.test('releases the job and its attempt to the lane of the worker', async (t) => {
  const { driver, request, lane } = open()
  lane(3, 'w1')
  request(job('a'))
  t.match(driver.read(transcodeJobs), [{ key: 'a', partition: 3, data: { job: job('a'), attempt: 1 } }])
})

t.test('first in, first out, in two queues: sound does not wait for pictures', async (t) => {
  const { request, lane, settle, said } = open()
  request(job('v1'), job('v2'), job('s1', 'AUDIO'), job('thumbs', 'THUMBNAILS'))
  lane(0, 'w1')
  t.strictSame(said(), ['0:v1', '0:s1'])
  settle('s1')
  settle('v1')
  t.strictSame(said(), ['0:v1', '0:s1', '0:thumbs', '0:v2'])
})

t.test('counts a worker once, however many lanes it holds', async (t) => {
  const { request, lane, said } = open()
  lane(0, 'w1')
  lane(1, 'w1')
  request(job('a'), job('b'))
  t.equal(said().length, 1)
})

t.test('spreads work over the workers', async (t) => {
  const { request, lane, said } = open()
  lane(0, 'w1', [], 2)
  lane(1, 'w2', [], 2)
  request(job('a'), job('b'), job('c'), job('d'), job('e'))
  t.strictSame(said(), ['0:a', '1:b', '0:c', '1:d'])
})

t.test('a lane that moves takes its jobs with it, and its new holder is not given more than its slots', async (t) => {
  const { request, lane, settle, said } = open()
  lane(0, 'w1')
  lane(1, 'w2')
  request(job('a'), job('b'), job('c'))
  lane(0, 'w2', ['a'])
  settle('b')
  t.strictSame(said(), ['0:a', '1:b'], 'w2 still has a')
  settle('a')
  t.strictSame(said().slice(2), ['0:c'])
})

t.test('a worker without lanes has no slots', async (t) => {
  const { request, lane, close, said } = open()
  lane(0, 'w1')
  close(0, 'w1')
  request(job('a'))
  t.strictSame(said(), [])
})

t.test('the jobs of a closed lane wait for whoever opens it', async (t) => {
  const { request, lane, close, settle, said } = open()
  lane(0, 'w1')
  request(job('a'), job('b'))
  close(0, 'w1')
  lane(1, 'w2')
  t.strictSame(said(), ['0:a', '1:b'], 'a is not given to anybody else')
  lane(0, 'w2', ['a'])
  settle('a')
  t.strictSame(said(), ['0:a', '1:b'])
})

t.test('a worker that shuts down is given nothing while it closes its lanes', async (t) => {
  const { request, lane, close, said } = open()
  lane(0, 'w1')
  lane(1, 'w1')
  request(job('a'), job('b'))
  close(0, 'w1')
  close(1, 'w1')
  lane(0, 'w2', ['a'])
  t.strictSame(said(), ['0:a'], 'w2 has no slot left, and b is bound to nobody')
  lane(1, 'w3')
  t.strictSame(said(), ['0:a', '1:b'])
})

t.test('a lane that was lost cannot be closed by its former worker', async (t) => {
  const { request, lane, close, said } = open()
  lane(0, 'w1')
  lane(0, 'w2')
  close(0, 'w1')
  request(job('a'))
  t.strictSame(said(), ['0:a'])
})

t.test('jobs that the holder of the lane does not have are released to it again', async (t) => {
  const { request, lane, said } = open()
  lane(0, 'w1', [], 2)
  request(job('a'), job('b'))
  lane(0, 'w2', ['b'], 2)
  t.strictSame(said(), ['0:a', '0:b', '0:a'])
})

t.test('a job that may succeed is tried three times, each time before what came later', async (t) => {
  const { request, lane, settle, said, failures } = open()
  lane(0, 'w1')
  request(job('a'), job('b', 'VIDEO', 'other'))
  settle('a', { ...FAILURE, attempt: 1 })
  settle('a', { ...FAILURE, attempt: 2 })
  t.strictSame(said(), ['0:a', '0:a#2', '0:a#3'])
  t.strictSame(failures(), [])
  settle('a', { ...FAILURE, attempt: 3 })
  t.match(failures(), [{ key: 'film', data: { generation: 1, code: 'ENCODER_STALLED', attempts: 3 } }])
  t.equal(failures()[0]?.data.detail, 'The video could not be converted.')
  t.strictSame(said().slice(3), ['0:b'])
})

t.test('a job that can never succeed is tried once', async (t) => {
  const { request, lane, settle, said, failures } = open()
  lane(0, 'w1')
  request(job('a'))
  settle('a', { ...FAILURE, code: 'TRUNCATED', retryable: false })
  t.strictSame(said(), ['0:a'])
  t.match(failures()[0]?.data, { code: 'TRUNCATED', attempts: 1, detail: /cut off/ })
})

t.test('the failure of one job cancels the others of that encode, and only these', async (t) => {
  const { request, lane, settle, said, failures } = open()
  lane(0, 'w1', [], 2)
  request(job('a'), job('b'), job('c'), { ...job('again'), generation: 2 }, job('o', 'VIDEO', 'other'))
  settle('a', { ...FAILURE, retryable: false })
  t.strictSame(said(), ['0:a', '0:b', '0:-b', '0:again', '0:o'])
  settle('b', { ...FAILURE, retryable: false })
  t.equal(failures().length, 1, 'a video fails once')
})

t.test('missing thumbnails fail no video', async (t) => {
  const { request, lane, settle, failures } = open()
  lane(0, 'w1')
  request(job('thumbs', 'THUMBNAILS'))
  settle('thumbs', { ...FAILURE, retryable: false })
  t.strictSame(failures(), [])
})

t.test('a deleted video gives its slots back', async (t) => {
  const { request, lane, cancel, settle, said, driver } = open()
  lane(0, 'w1')
  request(job('a'), job('b'), job('o', 'VIDEO', 'other'))
  cancel('film')
  t.strictSame(said(), ['0:a', '0:-a', '0:o'])
  settle('a')
  settle('o')
  t.strictSame(said(), ['0:a', '0:-a', '0:o'])
  const { job: jobs, waiting, released } = driver.state(NAME, DEFAULT_POOL)
  t.strictSame({ jobs, waiting, released }, { jobs: {}, waiting: {}, released: {} })
})

t.test('JobsRequested: doubled, or delayed past the end of its jobs, it asks for nothing more', async (t) => {
  const { driver, request, lane, settle, cancel, said } = open()
  lane(0, 'w1')
  request(job('a'), job('b'))
  request(job('a'), job('b'))
  settle('a')
  request(job('a'))
  settle('b')
  request(job('gone', 'VIDEO', 'deleted'))
  cancel('deleted')
  request(job('gone', 'VIDEO', 'deleted'))
  driver.restart()
  request(job('a'), job('b'))
  t.strictSame(said(), ['0:a', '0:b', '0:gone', '0:-gone'])
})

t.test('JobSettled: doubled, or delayed past the next attempt, it says nothing', async (t) => {
  const { request, lane, settle, said, failures } = open()
  lane(0, 'w1')
  request(job('a'), job('b'))
  settle('a', { ...FAILURE, attempt: 1 })
  settle('a', { ...FAILURE, attempt: 1 })
  t.strictSame(said(), ['0:a', '0:a#2'])
  settle('a', { attempt: 2 })
  settle('a', { ...FAILURE, attempt: 2 })
  t.strictSame(said(), ['0:a', '0:a#2', '0:b'])
  t.strictSame(failures(), [])
})

t.test('a settlement of a job that only waits says nothing', async (t) => {
  const { request, lane, settle, said } = open()
  request(job('a'))
  settle('a')
  lane(0, 'w1')
  t.strictSame(said(), ['0:a'])
})

t.test('remembers what ended for as long as it could be asked for again', async (t) => {
  const { driver, request, lane, settle } = open()
  const remembered = () => Object.keys(driver.state(NAME, DEFAULT_POOL).ended ?? {})
  lane(0, 'w1')
  request(job('a'), job('b'))
  settle('a')
  driver.advance(10 * DAY_MS)
  settle('b')
  driver.advance(transcodePool.retentionMs - 11 * DAY_MS)
  t.strictSame(remembered(), ['a', 'b'])
  driver.advance(2 * DAY_MS)
  t.strictSame(remembered(), ['b'])
  driver.advance(11 * DAY_MS)
  t.strictSame(remembered(), [])
})

t.test('forgets also when jobs never stop ending', async (t) => {
  const { driver, request, lane, settle } = open()
  lane(0, 'w1')
  for (let halfDay = 0; halfDay < 66; halfDay++) {
    request(job(`job-${halfDay}`))
    settle(`job-${halfDay}`)
    driver.advance(DAY_MS / 2)
  }
  const { ended } = driver.state(NAME, DEFAULT_POOL)
  t.notOk(ended?.['job-0'])
  t.ok(ended?.['job-10'])
})

t.test('while releases are held lanes run dry: what runs goes on, what waits waits', async (t) => {
  const { driver, hold, request, lane, settle, said } = open()
  lane(0, 'w1', [], 2)
  request(job('a'), job('b'))
  hold(driver.nowMs + MINUTE_MS)
  request(job('c'))
  lane(1, 'w2')
  settle('a')
  settle('b', FAILURE)
  t.strictSame(said(), ['0:a', '0:b'], 'neither the new job nor the retry')
  hold(0)
  t.strictSame(said().slice(2).sort(), ['0:b#2', '0:c'])
})

t.test('a job that was lost with its lane is given to it again while releases are held', async (t) => {
  const { driver, hold, request, lane, said } = open()
  lane(0, 'w1')
  request(job('a'))
  hold(driver.nowMs + MINUTE_MS)
  lane(0, 'w2', [])
  t.strictSame(said(), ['0:a', '0:a'])
})

t.test('the holding ends by itself when nobody renews it', async (t) => {
  const { driver, hold, request, lane, said } = open()
  lane(0, 'w1')
  hold(driver.nowMs + MINUTE_MS)
  request(job('a'))
  driver.advance(MINUTE_MS / 2)
  hold(driver.nowMs + MINUTE_MS)
  driver.advance(MINUTE_MS - 1)
  driver.restart()
  t.strictSame(said(), [], 'it was renewed')
  driver.advance(1)
  t.strictSame(said(), ['0:a'])
})

t.test('ReleasesHeld: doubled, or delayed past its time, it holds nothing', async (t) => {
  const { driver, hold, request, lane, said } = open()
  const untilMs = driver.nowMs + MINUTE_MS
  lane(0, 'w1')
  hold(untilMs)
  hold(untilMs)
  hold(0)
  driver.advance(MINUTE_MS)
  hold(untilMs)
  request(job('a'))
  t.strictSame(said(), ['0:a'])
})
