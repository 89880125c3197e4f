import type { Processor } from '../processor.ts'
import type { AnyExecutors, BoundProcessor } from './executors.ts'
import { type HostSettings, ProcessorHost, type TaskReport } from './processor-host.ts'

export interface RunningTopology {
  readonly isReady: boolean
  report(): readonly TaskReport[]
  /** Drains: commits what was folded, interrupts effects, leaves the groups. */
  stop(): Promise<void>
}

/** A processor with the executors of its effects, by name. One that is missing fails the effect with EFFECT_UNBOUND. */
export const bound = (processor: Processor, executors: AnyExecutors = {}): BoundProcessor => ({ processor, executors })

/** Runs processors in this process until `stop`. */
export const run = async (processors: readonly BoundProcessor[], settings: HostSettings): Promise<RunningTopology> => {
  const hosts = processors.map((processor) => new ProcessorHost(processor, settings))
  await Promise.all(hosts.map((host) => host.start()))
  return {
    get isReady() {
      return hosts.every((host) => host.isReady)
    },
    report: () => hosts.flatMap((host) => host.report()),
    stop: async () => {
      await Promise.all(hosts.map((host) => host.stop()))
    },
  }
}
