import { ConfigError } from '../../platform/errors.ts'
import type { Kafka } from '../kafka/client.ts'
import { joinGroup } from '../kafka/group-member.ts'
import type { PartitionReader } from '../kafka/partition-reader.ts'
import type { Processor } from '../processor.ts'
import type { AnyExecutors, BoundProcessor } from './executors.ts'
import { kafkaTaskLog } from './kafka-task-log.ts'
import { type HostSettings, ProcessorHost, type TaskReport } from './processor-host.ts'

export interface RunningTopology {
  readonly isReady: boolean
  report(): readonly TaskReport[]
  /** Drains: commits what was folded, interrupts effects, leaves the groups. */
  stop(): Promise<void>
}

/**
 * A processor with the executors of its effects, by name. Throws ConfigError EFFECT_UNBOUND unless each effect has one and
 * each is of an effect: an effect that nobody carries out would look like one that failed.
 */
export const bound = (processor: Processor, executors: AnyExecutors = {}): BoundProcessor => {
  const { name, effects } = processor
  const misfits = [
    ...Object.keys(effects).flatMap((effect) => (effect in executors ? [] : `no executor is bound to ${effect}`)),
    ...Object.keys(executors).flatMap((effect) => (effect in effects ? [] : `it has no effect ${effect}`)),
  ]
  if (misfits.length === 0) return { processor, executors }
  throw new ConfigError('EFFECT_UNBOUND', `${name}: ${misfits.join('; ')}`, { facts: { processor: name } })
}

export interface RunSettings extends Omit<HostSettings, 'join' | 'taskLog'> {
  readonly kafka: Kafka
  readonly reader: PartitionReader
}

/** Runs processors on Kafka in this process until `stop`. */
export const run = async (processors: readonly BoundProcessor[], settings: RunSettings): Promise<RunningTopology> => {
  const { kafka, reader, appId } = settings
  const ports: HostSettings = {
    ...settings,
    join: (options, handlers) => joinGroup(kafka, options, handlers),
    taskLog: (processor, task) => kafkaTaskLog({ kafka, reader, appId, processor, task }),
  }
  const hosts = processors.map((processor) => new ProcessorHost(processor, ports))
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
