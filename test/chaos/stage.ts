import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { BrokerSettings } from '../../local/kafka.ts'
import { startKafkaCluster } from '../../local/kafka-cluster.ts'
import { freePorts } from '../../local/ports.ts'
import { endWithProcess } from './end-with-process.ts'
import type { Chapter } from './report.ts'
import type { Scenario } from './scenarios/scenario.ts'
import type { Stage } from './trial.ts'

/**
 * Settings of the brokers that make a run shorter and its faults harder, nothing that a real cluster could not have: a
 * session may be short, and compaction runs all the time instead of every 15 s.
 */
const CHAOS_SETTINGS: BrokerSettings = {
  'group.min.session.timeout.ms': 1000,
  'log.cleaner.backoff.ms': 100,
}
const BROKERS = 3
/** Broker, controller, and what a scenario may put in front of the broker. */
const PORTS_PER_BROKER = 3

/** How hard the long run is, and the short one. */
export const LONG = { sessionTimeoutMs: 6_000, perSecond: 300 }
export const SHORT = { sessionTimeoutMs: 3_000, perSecond: 150 }

export interface OpenStage extends Stage {
  /** Ends the brokers, and removes everything unless it is to be looked at. */
  close(options: { readonly keep: boolean }): Promise<void>
}

/** Three brokers on free ports, with data of their own. They end with this process, unless that is killed with kill -9. */
export const openStage = async (options: Omit<Stage, 'cluster' | 'dataDir'>): Promise<OpenStage> => {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'reelstream-chaos-'))
  const free = await freePorts(BROKERS * PORTS_PER_BROKER)
  const ports = free.filter((_, n) => n % PORTS_PER_BROKER === 0)
  const cluster = await startKafkaCluster({ dataDir, ports, settings: CHAOS_SETTINGS })
  const takeBack = endWithProcess(() => cluster.killAll())
  return {
    ...options,
    cluster,
    dataDir,
    async close({ keep }) {
      takeBack()
      cluster.killAll() // nothing of it is used again, and three clean stops take 5 s
      await cluster.stop()
      if (!keep) await rm(dataDir, { recursive: true, force: true })
    },
  }
}

/** One scenario, timed. */
export const perform = async (scenario: Scenario, stage: Stage, times: number): Promise<Chapter> => {
  const startedAtMs = performance.now()
  const finding = await scenario.run(stage, times)
  return { scenario, times, finding, durationMs: performance.now() - startedAtMs }
}
