import fc from 'fast-check'
import t from 'tap'
import { type TestDriver, testDriver } from '../../runtime/testing/test-driver.ts'
import { examples } from '../../schemas/examples.ts'
import type { JobReleased } from '../../schemas/generated.ts'
import { DEFAULT_POOL, transcodeJobs, transcodePool, videoEvents } from '../../schemas/topics.ts'
import type { Lane, PooledJob, ReleasedJob, WaitingJob, WorkerSlots } from './generated.ts'
import { scheduleTranscodes } from './processor.ts'

/**
 * The scheduler against workers that open and lose lanes, finish, fail and die at random. The workers keep to the rules
 * of their own processor: they run what is in their lane, a release that comes twice once, and nothing that is cancelled.
 */
const LANES = 3
const WORKERS = ['w1', 'w2', 'w3'] as const
const SLOTS = { videoSlots: 2, lightSlots: 1 }

type Act =
  | { readonly act: 'request'; readonly video: number; readonly pictures: number }
  | { readonly act: 'open'; readonly lane: number; readonly worker: number; readonly unread: boolean }
  | { readonly act: 'close'; readonly lane: number }
  | { readonly act: 'settle'; readonly pick: number; readonly outcome: 'ok' | 'again' | 'never' }
  | { readonly act: 'cancel'; readonly video: number }
  | { readonly act: 'restart' }

const acts: fc.Arbitrary<Act> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ act: fc.constant('request'), video: fc.nat(4), pictures: fc.nat(3) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      act: fc.constant('open'),
      lane: fc.nat(LANES - 1),
      worker: fc.nat(WORKERS.length - 1),
      unread: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('close'), lane: fc.nat(LANES - 1) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      act: fc.constant('settle'),
      pick: fc.nat(),
      outcome: fc.constantFrom('ok' as const, 'ok' as const, 'again' as const, 'never' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('cancel'), video: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('restart') }) },
) as fc.Arbitrary<Act>

interface Held {
  readonly lane: number
  readonly attempt: number
  readonly videoId: string
}

class World {
  readonly driver: TestDriver = testDriver([scheduleTranscodes])
  /** What the lanes hold by the worker's own rules, by jobId. */
  readonly held = new Map<string, Held>()
  readonly over = new Set<string>()
  readonly requested = new Set<string>()
  /** The last that the pool heard is that a lane was closed. */
  closing = false
  readonly #owner = new Map<number, string>()
  #read = 0
  #jobs = 0

  apply(act: Act): void {
    switch (act.act) {
      case 'request':
        return this.request(act.video, act.pictures)
      case 'open':
        return this.open(act.lane, WORKERS[act.worker] ?? 'w1', act.unread)
      case 'close':
        return this.#close(act.lane)
      case 'settle':
        return this.settle(act.pick, act.outcome)
      case 'cancel':
        this.driver.pipe(transcodePool, 'JobsCancelled', DEFAULT_POOL, { videoId: `video-${act.video}` })
        return this.#follow()
      case 'restart':
        return this.driver.restart()
    }
  }

  request(video: number, pictures: number): void {
    const kinds = ['AUDIO' as const, ...Array.from({ length: pictures }, () => 'VIDEO' as const)]
    // Every batch is a video of its own: a video that failed or was deleted is never asked for again.
    const batch = this.#jobs
    const jobs = kinds.map((kind) => {
      const jobId = `job-${this.#jobs++}`
      this.requested.add(jobId)
      return { ...examples.JobReleased.job, jobId, kind, videoId: `video-${video}`, generation: batch + 1 }
    })
    this.driver.pipe(transcodePool, 'JobsRequested', DEFAULT_POOL, { jobs })
    this.#follow()
  }

  open(lane: number, workerId: string, unread: boolean): void {
    const inLane = [...this.held].filter(([, held]) => held.lane === lane).map(([jobId]) => jobId)
    // A worker may announce its lane before it has read the last releases in it.
    const held = unread ? inLane.slice(1) : inLane
    this.#owner.set(lane, workerId)
    this.driver.pipe(transcodePool, 'LaneOpened', DEFAULT_POOL, { lane, workerId, ...SLOTS, held })
    this.#follow()
  }

  #close(lane: number): void {
    const workerId = this.#owner.get(lane)
    if (workerId === undefined) return
    this.#owner.delete(lane)
    this.driver.pipe(transcodePool, 'LaneClosed', DEFAULT_POOL, { lane, workerId })
    this.#follow()
    this.closing = true
  }

  settle(pick: number, outcome: 'ok' | 'again' | 'never'): void {
    const running = [...this.held]
    const [jobId, held] = running[pick % Math.max(1, running.length)] ?? []
    if (jobId === undefined || held === undefined) return
    this.held.delete(jobId)
    const { videoId, attempt } = held
    const ok = outcome === 'ok'
    const why = ok ? { code: null, detail: null } : { code: 'FAILED', detail: 'it failed' }
    if (ok) this.over.add(jobId)
    const settled = { jobId, videoId, attempt, ok, ...why, retryable: outcome === 'again' }
    this.driver.pipe(transcodePool, 'JobSettled', DEFAULT_POOL, settled)
    this.#follow()
  }

  /** The workers read what was written to their lanes. */
  #follow(): void {
    this.closing = false
    const records = this.driver.read(transcodeJobs)
    for (const { type, key, partition, data } of records.slice(this.#read)) {
      if (type === 'JobCancelled') {
        this.held.delete(key)
        this.over.add(key)
        continue
      }
      const { attempt, job } = data as JobReleased
      this.held.set(key, { lane: partition ?? -1, attempt, videoId: job.videoId })
    }
    this.#read = records.length
  }

  get state() {
    const all = this.driver.state('schedule-transcodes', DEFAULT_POOL)
    return {
      job: all.job as Record<string, PooledJob>,
      waiting: all.waiting as Record<string, WaitingJob>,
      released: all.released as Record<string, ReleasedJob>,
      ended: Object.keys(all.ended ?? {}),
      lanes: Object.values(all.lane as Record<string, Lane>),
      workers: all.worker as Record<string, WorkerSlots>,
    }
  }

  used(workerId: string, slot: 'HEAVY' | 'LIGHT'): number {
    const { lanes, released } = this.state
    const own = new Set(lanes.filter((lane) => lane.workerId === workerId).map(({ lane }) => lane))
    return Object.values(released).filter((job) => job.slot === slot && own.has(job.lane)).length
  }
}

const CAPACITY = { HEAVY: SLOTS.videoSlots, LIGHT: SLOTS.lightSlots } as const
const KINDS = ['HEAVY', 'LIGHT'] as const

const everyStep = (check: (world: World, act: Act, before: ReadonlyMap<string, number>) => void): void => {
  fc.assert(
    fc.property(fc.array(acts, { maxLength: 60 }), (script) => {
      const world = new World()
      for (const act of script) {
        const before = new Map(WORKERS.flatMap((id) => KINDS.map((slot) => [`${id}/${slot}`, world.used(id, slot)])))
        world.apply(act)
        check(world, act, before)
      }
    }),
    { numRuns: 60 },
  )
}

const must = (condition: boolean, what: string): void => {
  if (!condition) throw new Error(what)
}

t.test('work-conserving: nothing waits beside a free slot, but while lanes are being closed', async () => {
  everyStep((world) => {
    if (world.closing) return
    for (const slot of KINDS) {
      const waits = Object.keys(world.state.waiting).some((id) => id.startsWith(slot))
      const free = Object.keys(world.state.workers).some((id) => world.used(id, slot) < CAPACITY[slot])
      must(!(waits && free), `a ${slot} job waits beside a free slot`)
    }
  })
})

t.test('a worker is never given more than its slots; only lanes that move can overload it', async () => {
  everyStep((world, act, before) => {
    for (const id of WORKERS) {
      for (const slot of KINDS) {
        const used = world.used(id, slot)
        const limit = Math.max(CAPACITY[slot], act.act === 'open' ? used : (before.get(`${id}/${slot}`) ?? 0))
        must(used <= limit, `${id} runs ${used} ${slot} jobs`)
      }
    }
  })
})

t.test('an overloaded worker is given nothing by the lane that overloads it', async () => {
  everyStep((world, act, before) => {
    if (act.act !== 'open') return
    const id = WORKERS[act.worker] ?? 'w1'
    for (const slot of KINDS) {
      const moved = world.used(id, slot) - (before.get(`${id}/${slot}`) ?? 0)
      const laneHad = [...world.held.values()].filter(({ lane }) => lane === act.lane).length
      must(moved <= 0 || world.used(id, slot) <= CAPACITY[slot] || moved <= laneHad, `${id} was given ${slot} jobs`)
    }
  })
})

t.test('no job is lost: it waits, or one lane has it, or it is over', async () => {
  everyStep((world) => {
    const { job, waiting, released, ended } = world.state
    const places = [...Object.values(waiting).map(({ jobId }) => jobId), ...Object.keys(released), ...ended]
    must(new Set(places).size === places.length, 'a job is in two places')
    must(places.length === world.requested.size, 'a job is nowhere')
    must(Object.keys(job).length === places.length - ended.length, 'a job has no record')
    for (const [jobId, { lane, attempt }] of world.held) {
      must(released[jobId]?.lane === lane, `${jobId} runs in lane ${lane}, the pool does not know`)
      must(job[jobId]?.attempt === attempt, `${jobId} runs another attempt than the pool counts`)
    }
    must(Object.keys(released).length === world.held.size, 'the pool counts a job that no lane has')
  })
})

t.test('everything ends once there are workers and no more failures', async () => {
  fc.assert(
    fc.property(fc.array(acts, { maxLength: 60 }), (script) => {
      const world = new World()
      for (const act of script) world.apply(act)
      for (let lane = 0; lane < LANES; lane++) world.open(lane, 'w1', false)
      while (world.held.size > 0) world.settle(0, 'ok')
      must(Object.keys(world.state.job).length === 0, 'a job is left')
    }),
    { numRuns: 60 },
  )
})

t.test('an encode fails at most once', async () => {
  fc.assert(
    fc.property(fc.array(acts, { maxLength: 60 }), (script) => {
      const world = new World()
      for (const act of script) world.apply(act)
      const failed = world.driver.read(videoEvents, 'TranscodeFailed').map(({ data }) => data.generation)
      must(new Set(failed).size === failed.length, 'an encode failed twice')
    }),
    { numRuns: 60 },
  )
})
