import { existsSync } from 'node:fs'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Artifacts } from './artifacts.ts'
import type { ChildSpec } from './child.ts'
import { answersKafka } from './health.ts'
import { type Jvm, javaEnvironment } from './jvm.ts'
import { propertiesText } from './properties.ts'
import { LOOPBACK, type LocalServer } from './server.ts'

/**
 * Apache Kafka as one process that is broker and KRaft controller, with the settings of one machine: the only node of
 * `npm start`, or one of several for those tests that need a cluster (kafka-cluster.ts).
 *
 * What differs from the defaults, and why: internal topics with a replica on each node and four partitions (50 partitions
 * of offsets cost file handles and start time); no automatic topics (a typing mistake would become a topic); no rebalance
 * delay (a group of one need not wait for others); a short broker session, because after a kill -9 the controller does not
 * admit the new broker until the session of the old one has run out (9 s by default); no empty metadata records twice a
 * second, which tell a quorum that it is alive and are a third of an idle broker's work.
 */
const CLUSTER_ID = 'cmVlbHN0cmVhbS1sb2NhbA'
const MAX_HEAP_MB = 384
const YOUNG_HEAP_MB = 16

export interface KafkaOptions {
  readonly dataDir: string
  readonly node: KafkaNode
  readonly artifacts: Artifacts
  readonly jvm: Jvm
  /** default 384 */
  readonly maxHeapMb?: number
  /** Broker settings over those of brokerProperties. */
  readonly settings?: BrokerSettings
}

/** A node's place in its cluster. */
export interface KafkaNode {
  /** from 1 */
  readonly id: number
  /** The broker's; its controller listens on the next one. */
  readonly port: number
  /** The ports of all nodes, this one included, in the order of their ids. */
  readonly clusterPorts: readonly number[]
}

/** The nodes of a cluster whose brokers listen on these ports. */
export const nodesOf = (clusterPorts: readonly number[]): KafkaNode[] =>
  clusterPorts.map((port, n) => ({ id: n + 1, port, clusterPorts }))

/** The keys are Kafka's. */
export type BrokerSettings = Readonly<Record<string, string | number | boolean>>

export const kafkaServer = ({ dataDir, node, artifacts, jvm, maxHeapMb, settings }: KafkaOptions): LocalServer => {
  const { port } = node
  const name = node.clusterPorts.length === 1 ? 'kafka' : `kafka-${node.id}`
  const home = path.join(dataDir, name)
  const propertiesFor = (logDir: string) => propertiesText({ ...brokerProperties(node, logDir), ...settings })
  const properties = path.join(home, 'server.properties')
  const java = (name: string, flags: readonly string[], args: readonly string[]): ChildSpec => ({
    name,
    command: 'java',
    args: [...flags, '-cp', path.join(artifacts.kafkaLib, '*'), ...args],
    env: javaEnvironment(),
    cwd: home,
  })
  return {
    name,
    env: { KAFKA_BROKERS: `${LOOPBACK}:${port}` },
    async prepare(children) {
      await mkdir(home, { recursive: true })
      await writeFile(properties, propertiesFor(LOG_DIR))
      await writeFile(path.join(home, 'log4j2.xml'), LOGGING)
      if (existsSync(path.join(home, LOG_DIR, 'meta.properties'))) return
      // Formatted under another name, so that a kill in between cannot leave a folder that looks formatted.
      const unfinished = `${LOG_DIR}.new`
      await rm(path.join(home, unfinished), { recursive: true, force: true })
      const forFormat = path.join(home, 'format.properties')
      await writeFile(forFormat, propertiesFor(unfinished))
      const format = ['kafka.tools.StorageTool', 'format', '-t', CLUSTER_ID, '-c', forFormat]
      await children.run(java(`${name}-format`, ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'], format))
      await rm(forFormat)
      await rename(path.join(home, unfinished), path.join(home, LOG_DIR))
    },
    spec() {
      const logging = `-Dlog4j2.configurationFile=${pathToFileURL(path.join(home, 'log4j2.xml')).href}`
      const flags = jvm.flags('kafka', maxHeapMb ?? MAX_HEAP_MB, YOUNG_HEAP_MB)
      return java(name, flags, [logging, 'kafka.Kafka', properties])
    },
    isHealthy: () => answersKafka(LOOPBACK, port),
    afterStop: () => jvm.keepArchive('kafka'),
    slowStopReason: () => (jvm.writesArchive('kafka') ? 'writes its class archive' : undefined),
  }
}

/** Relative to the broker's working folder: `log.dirs` is a list, and a comma in the path would cut it in two. */
const LOG_DIR = 'log'

/**
 * The broker's settings. `logDir` is relative to the folder the broker runs in. Of a cluster every topic has a replica on
 * each node, and one of them may be away.
 */
export const brokerProperties = ({ id, port, clusterPorts }: KafkaNode, logDir: string): BrokerSettings => ({
  'process.roles': 'broker,controller',
  'node.id': id,
  'controller.quorum.voters': clusterPorts.map((voter, n) => `${n + 1}@${LOOPBACK}:${voter + 1}`).join(','),
  listeners: `PLAINTEXT://${LOOPBACK}:${port},CONTROLLER://${LOOPBACK}:${port + 1}`,
  'advertised.listeners': `PLAINTEXT://${LOOPBACK}:${port}`,
  'controller.listener.names': 'CONTROLLER',
  'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
  'inter.broker.listener.name': 'PLAINTEXT',
  'log.dirs': logDir,
  ...replication(clusterPorts.length),
  'offsets.topic.num.partitions': 4,
  'transaction.state.log.num.partitions': 4,
  'share.coordinator.state.topic.num.partitions': 1,
  'auto.create.topics.enable': false,
  'group.initial.rebalance.delay.ms': 0,
  'log.cleaner.dedupe.buffer.size': 4 * 1024 * 1024,
  'log.cleaner.io.buffer.size': 128 * 1024,
  'num.network.threads': 2,
  'num.io.threads': 4,
  'num.recovery.threads.per.data.dir': 2,
  'background.threads': 2,
  'broker.session.timeout.ms': 1000,
  'broker.heartbeat.interval.ms': 250,
  'metadata.max.idle.interval.ms': 0,
})

const replication = (nodes: number): BrokerSettings => {
  const minInSync = Math.max(1, nodes - 1)
  return {
    'default.replication.factor': nodes,
    'min.insync.replicas': minInSync,
    'offsets.topic.replication.factor': nodes,
    'transaction.state.log.replication.factor': nodes,
    'transaction.state.log.min.isr': minInSync,
    'share.coordinator.state.topic.replication.factor': nodes,
    'share.coordinator.state.topic.min.isr': minInSync,
  }
}

const LOGGING = `<Configuration status="WARN">
  <Appenders>
    <Console name="console"><PatternLayout pattern="%d{ISO8601} %p %c %m%n"/></Console>
  </Appenders>
  <Loggers>
    <Root level="WARN"><AppenderRef ref="console"/></Root>
  </Loggers>
</Configuration>
`
