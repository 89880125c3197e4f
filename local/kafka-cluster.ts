import { type Artifacts, prepareArtifacts } from './artifacts.ts'
import { type Children, createChildren } from './child.ts'
import { openDataDir } from './data-dir.ts'
import { brokersKnownTo } from './health.ts'
import { prepareJvm } from './jvm.ts'
import { type BrokerSettings, type KafkaNode, kafkaServer, nodesOf } from './kafka.ts'
import { stopLeftovers } from './leftovers.ts'
import { signalGroup } from './processes.ts'
import { LOOPBACK } from './server.ts'
import { type Supervised, supervise } from './supervise.ts'

/**
 * Three or more real brokers on one machine, for tests: every topic has a replica on each of them, one may be away.
 *
 * The brokers are those of `npm start` (kafka.ts) with two differences, both because they share the cores of one machine
 * with each other and with what is tested. Their heaps are smaller; and a broker counts as dead after 3 s of silence, not
 * after 1 s, or a busy moment would look like a death. A test kills and restarts them as it likes; nobody else does.
 */
export interface KafkaClusterOptions {
  /** of this cluster alone; what an earlier run left running there is stopped */
  readonly dataDir: string
  /** One per broker; each broker's controller takes the port after it. */
  readonly ports: readonly number[]
  /** folder of the downloaded servers; '' = the user's cache folder */
  readonly cacheDir?: string
  /** Broker settings over those of the cluster. */
  readonly settings?: BrokerSettings
}

export interface KafkaCluster {
  /** host:port of each */
  readonly addresses: readonly string[]
  readonly brokers: readonly ClusterBroker[]
  /** Stops all of them cleanly, at once. The data stay. */
  stop(): Promise<void>
  /** Ends all of them at once, for when the test itself must end now. Synchronous: may be called on `exit`. */
  killAll(): void
}

export interface ClusterBroker {
  readonly id: number
  readonly port: number
  /** of the present process, or of the last one; 0 before the first start */
  pid(): number
  /** kill -9; resolves when it is dead. */
  kill(): Promise<void>
  /** Starts it again; resolves when it is back among the others. Partitions may still be catching up. */
  start(): Promise<void>
}

const MAX_HEAP_MB = 256
const READY_TIMEOUT_MS = 60_000
const CLUSTER_SETTINGS: BrokerSettings = { 'broker.session.timeout.ms': 3000, 'broker.heartbeat.interval.ms': 500 }

/**
 * Resolves when every broker is one of the cluster.
 * @throws UpstreamError ARTIFACTS_UNAVAILABLE, CHILD_FAILED, NOT_READY; what had been started is ended
 */
export const startKafkaCluster = async (options: KafkaClusterOptions): Promise<KafkaCluster> => {
  const dataDir = await openDataDir(options.dataDir)
  await stopLeftovers(dataDir)
  const children = createChildren(dataDir)
  const artifacts = await prepareArtifacts(options.cacheDir ?? '', children.stopping, () => {})
  const settings = { ...CLUSTER_SETTINGS, ...options.settings }
  const nodes = nodesOf(options.ports)
  try {
    const brokers = await Promise.all(nodes.map((node) => makeBroker({ dataDir, node, artifacts, settings, children })))
    await Promise.all(brokers.map((broker) => broker.start()))
    return {
      addresses: nodes.map(({ port }) => `${LOOPBACK}:${port}`),
      brokers,
      async stop() {
        await Promise.all(brokers.map((broker) => broker.stop()))
        await children.stopAll()
      },
      killAll: () => children.killAll(),
    }
  } catch (error) {
    children.killAll()
    throw error
  }
}

interface BrokerParts {
  readonly dataDir: string
  readonly node: KafkaNode
  readonly artifacts: Artifacts
  readonly settings: BrokerSettings
  readonly children: Children
}

const makeBroker = async (parts: BrokerParts): Promise<ClusterBroker & { stop(): Promise<void> }> => {
  const { dataDir, node, artifacts, settings, children } = parts
  // A Jvm each: every one of them may write the class archive when it is missing, the first to stop wins.
  const jvm = await prepareJvm(artifacts.archiveDir)
  const kafka = kafkaServer({ dataDir, node, artifacts, jvm, settings, maxHeapMb: MAX_HEAP_MB })
  const isHealthy = async () => (await brokersKnownTo(LOOPBACK, node.port)).includes(node.id)
  await kafka.prepare?.(children)
  let running: Supervised | undefined
  return {
    id: node.id,
    port: node.port,
    pid: () => running?.pid() ?? 0,
    async start() {
      const options = { children, readyTimeoutMs: READY_TIMEOUT_MS, restart: false, report: () => {} }
      running = await supervise({ ...kafka, isHealthy }, options)
    },
    async kill() {
      if (running === undefined) return
      signalGroup(running.pid(), 'SIGKILL')
      await running.stop()
    },
    stop: async () => running?.stop(),
  }
}
