import { BugError } from '../../../platform/errors.ts'
import type { GroupHandlers } from '../../kafka/group-member.ts'
import type { MemoryLog } from '../memory-log.ts'
import type { Network } from './network.ts'
import type { SimulatedProcess } from './simulated-process.ts'
import type { VirtualTime } from './virtual-time.ts'

/** The fetching side of a group member, with the promises of kafka/group-member.ts, repetitions excepted. */
interface PumpSettings {
  readonly time: VirtualTime
  readonly network: Network
  readonly log: MemoryLog
  readonly process: SimulatedProcess
  readonly handlers: GroupHandlers
  /** Records of one fetch, at most. */
  readonly fetchRecords: number
}

interface Flow {
  readonly topic: string
  readonly partition: number
  position: bigint | undefined
  flowing: boolean
  fetching: boolean
}

const REPEATED_RECORDS = 2n

export class SimulatedPump {
  readonly #s: PumpSettings
  #assigned = new Map<string, Flow>()
  #stopped = false

  constructor(settings: PumpSettings) {
    this.#s = settings
  }

  get isStopped(): boolean {
    return this.#stopped
  }

  tasks(): number[] {
    return [...new Set([...this.#assigned.values()].map(({ partition }) => partition))]
  }

  /** Returns the tasks that were its own and are not any more. What stays, flows on. */
  assign(topics: readonly string[], tasks: readonly number[]): number[] {
    const before = this.#assigned
    const lost = this.tasks().filter((task) => !tasks.includes(task))
    this.#assigned = new Map()
    for (const topic of topics) {
      for (const partition of tasks) {
        const key = keyOf(topic, partition)
        const fresh = { topic, partition, position: undefined, flowing: false, fetching: false }
        this.#assigned.set(key, before.get(key) ?? fresh)
      }
    }
    for (const flow of this.#assigned.values()) this.#fetch(flow)
    return lost
  }

  pause(topic: string, partition: number): void {
    const flow = this.#assigned.get(keyOf(topic, partition))
    if (flow !== undefined) flow.flowing = false
  }

  resume(topic: string, partition: number): void {
    const flow = this.#assigned.get(keyOf(topic, partition))
    if (flow === undefined) return
    if (flow.position === undefined) throw new BugError('RESUME_WITHOUT_SEEK', `${topic}/${partition} has no position`)
    flow.flowing = true
    this.#fetch(flow)
  }

  seek(topic: string, partition: number, offset: bigint): void {
    const flow = this.#assigned.get(keyOf(topic, partition))
    if (flow === undefined) return
    flow.position = offset
    this.#fetch(flow)
  }

  wake(topic: string, partition: number): void {
    const flow = this.#assigned.get(keyOf(topic, partition))
    if (flow !== undefined) this.#fetch(flow)
  }

  stop(): void {
    this.#stopped = true
    this.#assigned.clear()
  }

  #fetch(flow: Flow): void {
    const { topic, partition, position } = flow
    const { time, network, log, process } = this.#s
    if (!flow.flowing || flow.fetching || position === undefined) return
    if (log.offsets(topic, partition).end <= position) return // the broker holds the fetch until there is something
    flow.fetching = true
    time.after(network.leg(), process, () => {
      flow.fetching = false
      const isWanted = this.#assigned.get(keyOf(topic, partition)) === flow && flow.flowing
      if (isWanted && flow.position === position) this.#deliver(flow, position)
      if (isWanted) this.#fetch(flow)
    })
  }

  #deliver(flow: Flow, position: bigint): void {
    const { log, network, handlers, fetchRecords } = this.#s
    const from = network.repeats() && position >= REPEATED_RECORDS ? position - REPEATED_RECORDS : position
    const { records, nextOffset } = log.fetch(flow.topic, flow.partition, from, fetchRecords)
    if (nextOffset > position) flow.position = nextOffset
    handlers.records(flow.topic, flow.partition, [...records], nextOffset)
  }
}

const keyOf = (topic: string, partition: number): string => `${topic}/${partition}`
