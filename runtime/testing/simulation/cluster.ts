import { createCodec } from '../../codec/avro.ts'
import { memoryDirectory } from '../../codec/schema-directory.ts'
import type { OutputRecord } from '../../kafka/log-records.ts'
import { partitionOfKey } from '../../kafka/murmur2.ts'
import { inputTopicsOf, type Processor, type TopicRef } from '../../processor.ts'
import { initialPositions } from '../../run/initial-positions.ts'
import { changelogOf } from '../../run/kafka-task-log.ts'
import { ProcessorHost } from '../../run/processor-host.ts'
import type { TaskLog } from '../../run/task-log.ts'
import { toRecord } from '../../task/changelog.ts'
import { MemoryLog } from '../memory-log.ts'
import { type MemoryTaskLogSettings, memoryTaskLog } from '../memory-task-log.ts'
import { billItems, bills, laterBillItems } from './billing.ts'
import { KILLED_BY, packingExecutors } from './executors.ts'
import type { FaultPlan, SuddenKind } from './faults.ts'
import { Journal } from './journal.ts'
import { learningCodec } from './learning-codec.ts'
import { Network } from './network.ts'
import type { Notes } from './notes.ts'
import { checksum, orders, packOrders, parcels, tallies, tallyParcels, withBug } from './packing.ts'
import type { PlantedBug } from './planted-bugs.ts'
import type { Random } from './random.ts'
import { SimulatedGroup } from './simulated-group.ts'
import { SimulatedProcess } from './simulated-process.ts'
import type { VirtualTime } from './virtual-time.ts'
import type { Poisoned } from './workload.ts'

/**
 * A log, three consumer groups and some processes, each with the hosts, runners, cores and effect runs of production in it;
 * and everything that can be done to them.
 */
export interface ClusterSettings {
  readonly time: VirtualTime
  readonly random: Random
  readonly plan: FaultPlan
  readonly notes: Notes
  readonly bug: PlantedBug
  /** Partitions of every topic. */
  readonly tasks: number
  /** Keys of which the broker refuses some of the facts. */
  readonly rejected: readonly Poisoned[]
}

/** Compiled once; which process has learned which schema is kept apart. */
export const CODEC = createCodec(memoryDirectory())
const PROCESSORS: readonly Processor[] = [packOrders, tallyParcels, billItems]
/** Their partition counts are equal. */
const TOPICS: readonly TopicRef[] = [orders, parcels, tallies, bills]
/**
 * Processors that keep the rule for states that survive a replay: they are folded from facts. `pack-orders` does not: it
 * numbers its reports and outcomes, which is how a lost or doubled one shows.
 */
const REPLAYABLE: readonly [Processor, ...Processor[]] = [tallyParcels, billItems]
/** Longest time until the supervisor has started another process, ms. */
const RESTART_MS = 400
/** How often the broker looks for transactions whose owners are silent, ms. */
const EXPIRY_MS = 5_000
const FETCH_WAIT_MS = 100
/** Longest time until a process that is replaced by a new version has its turn, ms. */
const ROLLOUT_MS = 1_500
/** Longest time until a process dies that has begun a replay, ms: a few requests. */
const REPLAY_DEATH_MS = 60
const REPLACED = 'all are replaced'

const transactionalIdOf = ({ name }: Processor, task: number): string => `simulation.${name}.${task}`

export class Cluster {
  readonly log: MemoryLog
  readonly network: Network
  readonly journal = new Journal()
  readonly #s: ClusterSettings
  readonly #groups: ReadonlyMap<string, SimulatedGroup>
  readonly #hosts = new Map<SimulatedProcess, readonly ProcessorHost[]>()
  readonly #replays = new Map<string, number[]>()
  readonly #ended = new Set<string>()
  #started = 0
  #version = 1
  #hasKilledReplay = false
  #isMended = false
  #over = false

  constructor(settings: ClusterSettings) {
    this.#s = settings
    const { time, bug } = settings
    const crash = (process: SimulatedProcess, where: string): void => this.#crash(process, where)
    this.network = new Network({ ...settings, crash })
    this.log = (bug.log ?? ((of) => new MemoryLog(of)))({
      now: () => time.nowMs,
      refusalOf: (record) => this.#refusalOf(record),
      deliverMarkers: (markers) => {
        for (const write of markers) time.after(this.network.leg(), null, write)
      },
      onReadable: (topic, partition) => {
        for (const group of this.#groups.values()) group.wake(topic, partition)
      },
    })
    const newGroup = () => new SimulatedGroup({ ...settings, network: this.network, log: this.log })
    this.#groups = new Map(PROCESSORS.map(({ name }) => [name, newGroup()]))
  }

  /** Topics, first positions, and so many processes. */
  async begin(processes: number): Promise<void> {
    const { log } = this
    const { tasks } = this.#s
    for (const { name } of TOPICS) log.createTopic(name, tasks)
    for (const processor of PROCESSORS) log.createTopic(changelogOf(processor), tasks)
    const offsets = async (topic: string, partition: number) => log.offsets(topic, partition)
    for (const record of await initialPositions(PROCESSORS, () => tasks, { offsets }, CODEC)) log.produce(record)
    for (let n = 0; n < processes; n++) this.#start()
    this.#expireLater()
  }

  /** Everything stops where it is. */
  end(): void {
    this.#over = true
    for (const process of this.#living()) process.kill()
  }

  /** Nothing goes wrong from now on, and nobody is stopped. */
  quieten(): void {
    this.network.quieten()
    for (const process of this.#living()) process.goOn()
  }

  /** Every third fact of such a key: of records, reports, outcomes and timers alike, the same whoever writes it. */
  #refusalOf({ topic, key, headers }: OutputRecord): string | null {
    const read = topic === parcels.name ? orders.name : topic
    const isMeant = this.#s.rejected.some((rejected) => rejected.topic === read && rejected.key === key)
    if (this.#isMended || !isMeant) return null
    if (Number.parseInt(checksum('', headers.ce_id ?? ''), 16) % 3 > 0) return null
    this.#s.notes.count('refused fact')
    return 'POLICY_VIOLATION'
  }

  /** Mended code, a broker that takes everything, and an operator who has the keys folded again that are blocked, or may come to be. */
  mend(poisoned: readonly Poisoned[]): void {
    this.#isMended = true
    this.#replaceLiving()
    const { time, tasks } = this.#s
    for (const { topic, key } of poisoned) {
      const processor = topic === bills.name ? billItems : packOrders
      const value = { command: 'RETRY', key, atMs: time.nowMs } as const
      const entry = toRecord({ kind: 'request', requestId: `retry-${key}`, value }, CODEC, processor.state)
      const partition = partitionOfKey(key, tasks)
      this.log.produce({ ...entry, topic: changelogOf(processor), partition, headers: {} })
    }
  }

  /** When replays of a task began, ms. */
  replaysMs({ name }: Processor, task: number): readonly number[] {
    return this.#replays.get(`${name}/${task}`) ?? []
  }

  /** Whether the process was asked to end, and did, and none of its tasks had met an error before. */
  endedGracefully(process: string): boolean {
    return this.#ended.has(process)
  }

  /** An accident for each: a run that was about to begin never does. */
  #replaceLiving(): void {
    for (const process of this.#living()) {
      this.journal.hadAccident()
      this.#kill(process, REPLACED)
    }
  }

  /** Every process dies, and others must go on with what the log says. */
  replaceAll(): void {
    this.#replaceLiving()
    this.#compact({ dropTombstones: this.#s.random.chance(0.5) })
  }

  suddenly(kind: SuddenKind): void {
    const { notes, random } = this.#s
    const [first, ...others] = this.#living()
    if (first === undefined) return
    const process = random.pick([first, ...others])
    notes.note(`sudden ${kind}`, process.name)
    switch (kind) {
      case 'kill':
        return this.#crash(process, 'at any time')
      case 'stop':
        return this.#stopForAWhile(process)
      case 'expel':
        for (const group of this.#groups.values()) group.expel(process)
        return
      case 'storm':
        return this.#storm(random.between(2, 8))
      case 'restart':
        return void this.#restart(process)
      case 'compact':
        return this.#compact({ dropTombstones: false })
      case 'forget':
        return this.#forget(random.pick(REPLAYABLE), 1)
      case 'gap':
        return this.#forget(random.pick(REPLAYABLE), 0.5)
      case 'deploy':
        return this.#deploy()
    }
  }

  // ---- processes

  #living(): readonly SimulatedProcess[] {
    return [...this.#hosts.keys()].filter(({ state }) => state !== 'dead')
  }

  /** A process like any other: its hosts join their groups and get tasks. */
  #start(): void {
    const { time, random, notes } = this.#s
    this.#started += 1
    const process = new SimulatedProcess(`p${this.#started}`, time, random)
    notes.note('started', process.name)
    const hosts = PROCESSORS.map((processor) => this.#host(process, processor))
    this.#hosts.set(process, hosts)
    for (const host of hosts) void host.start()
  }

  #host(process: SimulatedProcess, processor: Processor): ProcessorHost {
    const { random, notes, plan, bug } = this.#s
    const { journal } = this
    const crash = (where: string): void => this.#crash(process, where)
    const { codec, learn } = learningCodec(CODEC, (id) => this.network.request(process, 'learn', () => id))
    const group = this.#groups.get(processor.name) as SimulatedGroup
    const written = processor === billItems && this.#version > 1 ? laterBillItems : processor
    const mended = this.#isMended ? written : withBug(written)
    const code = REPLAYABLE.includes(processor) ? { ...mended, version: this.#version } : mended
    return new ProcessorHost(
      {
        processor: bug.processor?.(code) ?? code,
        executors: packingExecutors({ process, journal, random, crash }),
      },
      {
        join: (options, handlers) => group.join(process, options, handlers),
        taskLog: (_processor, task) => this.#taskLog(process, processor, task),
        codec,
        learn,
        appId: 'simulation',
        instanceId: process.name,
        clock: process.clock,
        log: notes.logger.child({ process: process.name }),
        sessionTimeoutMs: plan.sessionTimeoutMs,
        limits: plan.limits,
      },
    )
  }

  #taskLog(process: SimulatedProcess, processor: Processor, task: number): TaskLog {
    const settings: MemoryTaskLogSettings = {
      log: this.log,
      transactionalId: transactionalIdOf(processor, task),
      changelog: changelogOf(processor),
      task,
      inputs: inputTopicsOf(processor),
      outputs: [...new Set(processor.writes.map(({ topic }) => topic.name))],
      request: (name, execute) => this.network.request(process, name, execute),
      fetchLimit: this.#s.random.between(1, 20),
      wait: () => process.sleep(FETCH_WAIT_MS),
    }
    const taskLog = this.#noted(memoryTaskLog(settings), process, processor, task)
    const place = { ...settings, processor, codec: CODEC, process: process.name }
    return this.#s.bug.taskLog?.(taskLog, place) ?? taskLog
  }

  /** Whoever asks for the ranges of its inputs begins a replay. */
  #noted(taskLog: TaskLog, process: SimulatedProcess, { name }: Processor, task: number): TaskLog {
    const { time, random, plan, notes } = this.#s
    return {
      ...taskLog,
      inputRanges: async () => {
        const ranges = await taskLog.inputRanges()
        notes.note('replay', `${process.name} ${name} ${task}`)
        this.#replays.set(`${name}/${task}`, [...(this.#replays.get(`${name}/${task}`) ?? []), time.nowMs])
        const hasPast = [...ranges.values()].some(({ end }) => end > 0n)
        if (plan.killsReplay && hasPast && !this.#hasKilledReplay && !this.#isMended) {
          this.#hasKilledReplay = true
          time.after(random.between(0, REPLAY_DEATH_MS), null, () => this.#crash(process, 'in a replay'))
        }
        return ranges
      },
    }
  }

  // ---- what goes wrong

  #crash(process: SimulatedProcess, where: string): void {
    if (process.state === 'dead') return
    const isKilledByEffect = where.startsWith(KILLED_BY)
    this.#s.notes.count(`death ${isKilledByEffect ? KILLED_BY : where}`)
    if (!isKilledByEffect) this.journal.hadAccident()
    this.#kill(process, where)
  }

  /** The supervisor starts another one. */
  #kill(process: SimulatedProcess, where: string): void {
    const { notes, time, random } = this.#s
    notes.note('killed', `${process.name} ${where}`)
    process.kill()
    for (const group of this.#groups.values()) group.watch(process)
    time.after(random.between(0, RESTART_MS), null, () => {
      if (!this.#over) this.#start()
    })
  }

  /** SIGSTOP, often for longer than its session: a zombie when it goes on. */
  #stopForAWhile(process: SimulatedProcess): void {
    const { time, random, plan } = this.#s
    this.journal.hadAccident()
    process.stop()
    for (const group of this.#groups.values()) group.watch(process)
    time.after(random.between(50, 3 * plan.sessionTimeoutMs), null, () => process.goOn())
  }

  #storm(times: number): void {
    const { time, random } = this.#s
    for (const group of this.#groups.values()) group.rebalance()
    if (times > 1) time.after(random.between(10, 300), null, () => this.#storm(times - 1))
  }

  /** SIGTERM, and another one as soon as it has ended. */
  async #restart(process: SimulatedProcess): Promise<void> {
    await Promise.all((this.#hosts.get(process) ?? []).map((host) => host.stop()))
    if (process.state === 'dead') return
    // A task that has no writer just then cannot journal that its effects were interrupted.
    process.endedGracefully = !this.#s.notes.disturbed.has(process.name)
    if (process.endedGracefully) {
      this.#ended.add(process.name)
      this.#s.notes.count('ended gracefully')
    } else this.journal.hadAccident()
    this.#kill(process, 'after a graceful stop')
  }

  /** A tombstone stays for a day (delete.retention.ms), which no restore takes: while one may run, none is dropped. */
  #compact(options: { readonly dropTombstones: boolean }): void {
    for (const processor of PROCESSORS) {
      for (let task = 0; task < this.#s.tasks; task++) this.log.compact(changelogOf(processor), task, options)
    }
  }

  /** The changelog is lost, or its beginning: whoever opens the task next folds its inputs again, and must do nothing again. */
  #forget(processor: Processor, share: number): void {
    const topic = changelogOf(processor)
    for (let task = 0; task < this.#s.tasks; task++) {
      const { beginning, end } = this.log.offsets(topic, task)
      this.log.truncate(topic, task, beginning + BigInt(Math.ceil(Number(end - beginning) * share)))
      // Its owner has to read what is left, while its effects run on.
      if (this.#s.random.chance(0.5)) this.log.initProducer(transactionalIdOf(processor, task))
    }
  }

  /** A rolling release: for a while processes of both versions take tasks from each other. */
  #deploy(): void {
    const { time, random } = this.#s
    this.#version += 1
    for (const process of this.#living()) {
      time.after(random.between(0, ROLLOUT_MS), null, () => {
        if (process.state === 'running' && random.chance(0.5)) void this.#restart(process)
        else this.#crash(process, 'for a new version')
      })
    }
  }

  #expireLater(): void {
    this.#s.time.after(EXPIRY_MS, null, () => {
      this.log.expire()
      if (!this.#over) this.#expireLater()
    })
  }
}
