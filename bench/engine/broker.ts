import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { prepareArtifacts } from '../../local/artifacts.ts'
import { createChildren } from '../../local/child.ts'
import { kafkaServer } from '../../local/kafka.ts'
import { freePorts } from '../../local/ports.ts'
import { supervise } from '../../local/supervise.ts'
import type { Config } from '../../platform/config.ts'

/**
 * The broker that both sides are measured on: the one of KAFKA_BROKERS, or the one of `npm start` on data of its own. A
 * broker under load wants what an idle one does without: the second compiler tier and more heap than a laptop gives it.
 */
export interface BenchBroker {
  readonly brokers: readonly string[]
  stop(): Promise<void>
}

const HEAP_MB = 1024

export const startBroker = async ({ kafkaBrokers, cacheDir }: Config): Promise<BenchBroker> => {
  if (kafkaBrokers.length > 0) return { brokers: kafkaBrokers, stop: () => Promise.resolve() }
  const dataDir = await mkdtemp(path.join(tmpdir(), 'reelstream-bench-kafka-'))
  const children = createChildren(dataDir)
  const artifacts = await prepareArtifacts(cacheDir, children.stopping, console.log)
  const [port = 0] = await freePorts(2)
  const server = kafkaServer({
    dataDir,
    node: { id: 1, port, clusterPorts: [port] },
    artifacts,
    jvm: FAST_JVM,
    maxHeapMb: HEAP_MB,
  })
  await server.prepare?.(children)
  // Children of ours have groups of their own: an interrupted bench would leave its broker behind.
  process.once('exit', () => children.killAll())
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
  const broker = await supervise(server, { children, readyTimeoutMs: 90_000, restart: false, report: console.log })
  return {
    brokers: [server.env.KAFKA_BROKERS ?? ''],
    stop: async () => {
      await broker.stop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

const FAST_JVM = {
  javaVersion: '',
  flags: (_server: string, maxHeapMb: number) => [`-Xmx${maxHeapMb}m`, '-XX:+UseSerialGC', '-Xss512k'],
  writesArchive: () => false,
  keepArchive: () => Promise.resolve(),
}
