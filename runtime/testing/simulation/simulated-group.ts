import { UpstreamError } from '../../../platform/errors.ts'
import type { GroupHandlers, GroupMember, GroupOptions } from '../../kafka/group-member.ts'
import { assignTasks, type MemberClaim } from '../../kafka/task-assignment.ts'
import type { MemoryLog } from '../memory-log.ts'
import type { FaultPlan } from './faults.ts'
import type { Network } from './network.ts'
import type { Notes } from './notes.ts'
import type { Random } from './random.ts'
import type { SimulatedProcess } from './simulated-process.ts'
import { SimulatedPump } from './simulated-pump.ts'
import type { VirtualTime } from './virtual-time.ts'

/**
 * A consumer group: who is a member, and which member has which task, by the assigner of production. As in the eager
 * protocol of Kafka a rebalance waits for every member that is not known to be dead; one that is silent for longer than
 * its session is thrown out, and finds that out when it speaks again. Each member hears of an assignment in its own time,
 * so for a while two may hold one task: that is what fencing is for.
 */
export interface GroupSettings {
  readonly time: VirtualTime
  readonly random: Random
  readonly network: Network
  readonly log: MemoryLog
  readonly plan: FaultPlan
  readonly notes: Notes
  readonly tasks: number
}

interface Member {
  readonly process: SimulatedProcess
  readonly options: GroupOptions
  readonly handlers: GroupHandlers
  readonly pump: SimulatedPump
  /** The broker's name of this membership; another one after each expulsion. */
  id: string
  /** Under which the tasks it holds were assigned. */
  claimId: string
  silentSinceMs: number | null
  /** The last generation of which it has heard. */
  generation: number
}

/** Until a member that is alive rejoins, and until it hears of what it has got, ms. */
const LONGEST_REJOIN_MS = 30
const LONGEST_ANNOUNCEMENT_MS = 200
const HEARTBEAT_MS = 1_000

export class SimulatedGroup {
  readonly #s: GroupSettings
  readonly #members = new Set<Member>()
  #names = 0
  #rebalancing = false
  #generation = 0

  constructor(settings: GroupSettings) {
    this.#s = settings
  }

  async join(process: SimulatedProcess, options: GroupOptions, handlers: GroupHandlers): Promise<GroupMember> {
    const { time, network, log, plan } = this.#s
    const pump = new SimulatedPump({ time, network, log, process, handlers, fetchRecords: plan.fetchRecords })
    const member = {
      process,
      options,
      handlers,
      pump,
      id: this.#newId(),
      claimId: '',
      silentSinceMs: null,
      generation: 0,
    }
    await process.sleep(network.leg())
    this.#members.add(member)
    this.rebalance()
    return {
      pause: (topic, partition) => pump.pause(topic, partition),
      resume: (topic, partition) => pump.resume(topic, partition),
      seek: (topic, partition, offset) => pump.seek(topic, partition, offset),
      endOffset: (topic, partition) => ({ offset: log.offsets(topic, partition).highWatermark, ageMs: 0 }),
      isFailing: () => false,
      commitOffsets: async () => undefined,
      leave: async () => {
        pump.stop()
        await process.sleep(network.leg())
        if (this.#members.delete(member)) this.rebalance()
      },
    }
  }

  /** Something became readable. */
  wake(topic: string, partition: number): void {
    for (const { pump } of this.#members) pump.wake(topic, partition)
  }

  /** Everybody rejoins; with nobody missing it takes some milliseconds. */
  rebalance(): void {
    if (this.#rebalancing) return
    this.#rebalancing = true
    this.#s.time.after(this.#s.random.between(0, LONGEST_REJOIN_MS), null, () => this.#tryToComplete())
  }

  /** The client gives up for good, as after an error that it does not know. */
  expel(process: SimulatedProcess): void {
    for (const member of this.#members) {
      if (member.process !== process) continue
      member.pump.stop()
      this.#members.delete(member)
      this.rebalance()
      this.#s.time.after(this.#s.network.leg(), process, () =>
        member.handlers.crashed(new UpstreamError('GROUP_LOST', 'the consumer has stopped')),
      )
    }
  }

  #tryToComplete(): void {
    const { time } = this.#s
    const { sessionTimeoutMs } = this.#s.plan
    const silent = [...this.#members].filter(({ process }) => process.state !== 'running')
    for (const member of silent) {
      member.silentSinceMs ??= time.nowMs
      if (time.nowMs - member.silentSinceMs >= sessionTimeoutMs) this.#throwOut(member)
    }
    for (const member of this.#members) if (member.process.state === 'running') member.silentSinceMs = null
    if (silent.some((member) => this.#members.has(member))) {
      time.after(sessionTimeoutMs / 4, null, () => this.#tryToComplete())
      return
    }
    this.#rebalancing = false
    this.#generation += 1
    this.#s.notes.count('rebalances')
    this.#assign()
  }

  /** A process went silent: when it stays so, the others get its tasks. */
  watch(process: SimulatedProcess): void {
    const { time } = this.#s
    const { sessionTimeoutMs } = this.#s.plan
    for (const member of this.#members) {
      if (member.process !== process) continue
      const since = time.nowMs
      member.silentSinceMs = since
      time.after(sessionTimeoutMs, null, () => {
        if (!this.#members.has(member) || process.state === 'running' || member.silentSinceMs !== since) return
        this.#throwOut(member)
        this.rebalance()
      })
    }
  }

  #throwOut(member: Member): void {
    this.#members.delete(member)
    this.#s.notes.note('expired', member.process.name)
    // Heard when it speaks again, which a dead one never does: then it joins as somebody else.
    this.#s.time.after(this.#s.random.between(0, HEARTBEAT_MS), member.process, () => {
      if (member.pump.isStopped) return
      member.id = this.#newId()
      member.silentSinceMs = null
      this.#members.add(member)
      this.rebalance()
    })
  }

  #assign(): void {
    const members = [...this.#members]
    const generation = this.#generation
    const assignment = assignTasks(this.#s.tasks, members.map(claimOf))
    for (const member of members) {
      const tasks = assignment.get(member.id) ?? []
      const { id } = member
      this.#s.time.after(this.#s.random.between(0, LONGEST_ANNOUNCEMENT_MS), member.process, () => {
        if (member.pump.isStopped || member.generation > generation) return
        member.generation = generation
        member.claimId = id
        const lost = member.pump.assign(member.options.topics, tasks)
        this.#s.notes.note('assigned', `${member.process.name} ${member.options.groupId} [${tasks}]`)
        member.handlers.assigned([...tasks], lost)
      })
    }
  }

  #newId(): string {
    this.#names += 1
    return `member-${this.#names}`
  }
}

const claimOf = ({ id, claimId, options, pump }: Member): MemberClaim => ({
  memberId: id,
  instanceId: options.instanceId,
  owned: pump.tasks(),
  busy: options.busyTasks?.() ?? [],
  current: claimId === id,
})
