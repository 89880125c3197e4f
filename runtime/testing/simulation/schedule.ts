import { billItems } from './billing.ts'
import { Cluster, CODEC } from './cluster.ts'
import { drawFaults, type FaultPlan } from './faults.ts'
import { createNotes, type Notes } from './notes.ts'
import { orders } from './packing.ts'
import type { PlantedBug } from './planted-bugs.ts'
import { type Random, seededRandom } from './random.ts'
import { confluentFacts, type Judgement, judge } from './verifier.ts'
import { VirtualTime } from './virtual-time.ts'
import { drawWorkload, type Input, lastItem, recordOf, type Workload } from './workload.ts'

/**
 * One schedule: a whole little cluster of real hosts, task runners, cores and effect runs on a simulated log, group, clock
 * and network; everything that happens, and in which order, is a function of the seed.
 *
 * It begins with noise (faults.ts) while events come in. Then nothing goes wrong any more, code that fails on an event is
 * mended, as is a broker that refuses facts, and whatever was begun must come to its end (liveness). Then every process is
 * killed, others restore everything from the changelogs, and each order and account is asked what it knows. What is
 * committed by then is judged (verifier.ts).
 *
 * What it leaves out. Because other tests have it on real brokers: the broker's own faults (leader changes, lost
 * disks), the wire format, the client library. Because nothing here has it: no process dies while it joins or leaves
 * its group, nor while it commits offsets to the group, which is a gauge; a later version differs from the first one in
 * what its handlers say and ask for, never in its schemas; no handler closes a key by itself; no timer emits and asks
 * for an effect at once (ADR 14); there are no timers on record time, nor events that are handled after the end of
 * their key. That what is confluent comes out as without faults is not part of a schedule: simulation.test.ts and `npm
 * run simulate -- --report` compare some schedules with their calm ones.
 */
export interface ScheduleOptions {
  /** Collects what happened, line by line. */
  readonly trace?: boolean
  /** Default: drawn by the seed. What is asked of the topology is the same whatever goes wrong. */
  readonly faults?: FaultPlan
  readonly bug?: PlantedBug
}

export interface ScheduleResult {
  readonly seed: number
  /** Empty when every promise was kept. */
  readonly violations: readonly string[]
  /** Facts that must not depend on what went wrong. */
  readonly confluent: readonly string[]
  readonly trace: readonly string[]
  /** What happened how often. */
  readonly counts: Readonly<Record<string, number>>
}

export const runSchedule = (seed: number, options: ScheduleOptions = {}): Promise<ScheduleResult> =>
  new Schedule(seed, options).run()

const START_MS = Date.UTC(2026, 0, 1)
const LOOK_EVERY_MS = 2_000
/** Longest back-off, session, transaction and request time-outs, several times over. */
const PATIENCE_MS = 180_000
/** Time in which something that should not happen may still happen. */
const AFTERMATH_MS = 4_000
/** Far from the seeds of schedules. */
const WORKLOAD_SEEDS = 1_000_000_007

class Schedule {
  readonly #seed: number
  readonly #random: Random
  readonly #plan: FaultPlan
  readonly #workload: Workload
  readonly #time: VirtualTime
  readonly #notes: Notes
  readonly #cluster: Cluster
  readonly #bug: PlantedBug
  #produced = 0

  constructor(seed: number, { trace = false, faults, bug = {} }: ScheduleOptions) {
    this.#seed = seed
    this.#bug = bug
    this.#random = seededRandom(seed)
    this.#plan = faults ?? drawFaults(this.#random)
    this.#workload = drawWorkload(seededRandom(seed + WORKLOAD_SEEDS))
    this.#time = new VirtualTime(this.#random, START_MS)
    this.#notes = createNotes(trace, () => this.#time.nowMs - START_MS)
    this.#cluster = new Cluster({
      time: this.#time,
      random: this.#random,
      plan: this.#plan,
      notes: this.#notes,
      bug,
      tasks: this.#workload.tasks,
      rejected: this.#workload.rejected,
    })
  }

  async run(): Promise<ScheduleResult> {
    // Most errors of a schedule are part of it, and a stack that nobody reads costs more than the rest of an error.
    const { stackTraceLimit } = Error
    Error.stackTraceLimit = 0
    const takeOut = this.#bug.plant?.()
    try {
      await this.#run()
      return this.#result()
    } finally {
      takeOut?.()
      Error.stackTraceLimit = stackTraceLimit
    }
  }

  async #run(): Promise<void> {
    const time = this.#time
    const cluster = this.#cluster
    await cluster.begin(this.#random.between(1, 3))
    this.#produceLater(this.#workload.inputs)
    for (const { atMs, kind } of this.#plan.sudden) time.after(atMs, null, () => cluster.suddenly(kind))
    await time.runUntil(START_MS + this.#plan.quietAtMs)
    cluster.quieten()
    this.#notes.note('quiet')
    const { poisoned, rejected } = this.#workload
    const waiting = new Map([...poisoned, ...rejected].map((place) => [place.key, place]))
    if (waiting.size > 0) cluster.mend([...waiting.values()])
    await this.#untilNothingIsMissing('the noise')
    cluster.replaceAll()
    for (const key of this.#workload.keys) {
      this.#produce({ atMs: 0, key, topic: orders, event: 'OrderAudited', data: { nothing: 0 } })
    }
    for (const [key, sold] of this.#workload.accounts) this.#produce(lastItem(key, sold))
    await this.#untilNothingIsMissing('the audit')
    await time.runUntil(time.nowMs + AFTERMATH_MS)
    cluster.end()
  }

  async #untilNothingIsMissing(after: string): Promise<void> {
    const time = this.#time
    const deadlineMs = time.nowMs + PATIENCE_MS
    let missing: readonly string[]
    do {
      await time.runUntil(time.nowMs + LOOK_EVERY_MS)
      missing = this.#judge().missing
      if (this.#produced < this.#workload.inputs.length) missing = ['inputs']
    } while (missing.length > 0 && time.nowMs < deadlineMs)
    for (const what of missing) this.#notes.violated(`${PATIENCE_MS / 1_000} s after ${after} still missing: ${what}`)
  }

  /** One after the other: events of one moment have the same offsets in every schedule. */
  #produceLater([next, ...others]: readonly Input[]): void {
    if (next === undefined) return
    this.#time.after(START_MS + next.atMs - this.#time.nowMs, null, () => {
      this.#produce(next)
      this.#produceLater(others)
    })
  }

  #produce(input: Input): void {
    this.#produced += 1
    this.#notes.note('produced', `${input.event} ${input.key} ${JSON.stringify(input.data)}`)
    this.#cluster.log.produce(recordOf(input, `input-${this.#produced}`, this.#time.nowMs, CODEC))
  }

  #judge(): Judgement {
    const cluster = this.#cluster
    return judge(cluster.log, CODEC, {
      mayBeKiller: (job) => cluster.journal.mayBeKiller(job),
      replaysMs: (task) => cluster.replaysMs(billItems, task),
      endedGracefully: (process) => cluster.endedGracefully(process),
    })
  }

  #result(): ScheduleResult {
    const { log, journal, network } = this.#cluster
    const { violations, trace, counts } = this.#notes
    return {
      seed: this.#seed,
      violations: [...violations, ...journal.violations, ...this.#judge().violations],
      confluent: confluentFacts(log, CODEC),
      trace,
      counts: {
        ...Object.fromEntries(counts),
        events: this.#time.happened,
        requests: network.requests,
        'effect runs': journal.runs,
        'virtual ms': this.#time.nowMs - START_MS,
      },
    }
  }
}
