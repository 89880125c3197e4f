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
 * Apache Kafka as one process that is broker and KRaft controller, with the settings of one machine.
 *
 * What differs from the defaults, and why: internal topics with one replica and four partitions (there is one broker,
 * and 50 partitions of offsets cost file handles and start time); no automatic topics (a typing mistake would become a
 * topic); no rebalance delay (a group of one need not wait for others); a short broker session, because after a kill -9
 * the controller does not admit the new broker until the session of the old one has run out (9 s by default); no empty
 * metadata records twice a second, which tell a quorum that it is alive and are a third of an idle broker's work.
 */
const CLUSTER_ID = 'cmVlbHN0cmVhbS1sb2NhbA'
const MAX_HEAP_MB = 384

export interface KafkaOptions {
  readonly dataDir: string
  readonly port: number
  readonly artifacts: Artifacts
  readonly jvm: Jvm
}

export const kafkaServer = ({ dataDir, port, artifacts, jvm }: KafkaOptions): LocalServer => {
  const home = path.join(dataDir, 'kafka')
  const properties = path.join(home, 'server.properties')
  const java = (name: string, flags: readonly string[], args: readonly string[]): ChildSpec => ({
    name,
    command: 'java',
    args: [...flags, '-cp', path.join(artifacts.kafkaLib, '*'), ...args],
    env: javaEnvironment(),
    cwd: home,
  })
  return {
    name: 'kafka',
    env: { KAFKA_BROKERS: `${LOOPBACK}:${port}` },
    async prepare(children) {
      await mkdir(home, { recursive: true })
      await writeFile(properties, propertiesText(brokerProperties(port, LOG_DIR)))
      await writeFile(path.join(home, 'log4j2.xml'), LOGGING)
      if (existsSync(path.join(home, LOG_DIR, 'meta.properties'))) return
      // Formatted under another name, so that a kill in between cannot leave a folder that looks formatted.
      const unfinished = `${LOG_DIR}.new`
      await rm(path.join(home, unfinished), { recursive: true, force: true })
      const forFormat = path.join(home, 'format.properties')
      await writeFile(forFormat, propertiesText(brokerProperties(port, unfinished)))
      const format = ['kafka.tools.StorageTool', 'format', '-t', CLUSTER_ID, '-c', forFormat]
      await children.run(java('kafka-format', ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'], format))
      await rm(forFormat)
      await rename(path.join(home, unfinished), path.join(home, LOG_DIR))
    },
    spec() {
      const logging = `-Dlog4j2.configurationFile=${pathToFileURL(path.join(home, 'log4j2.xml')).href}`
      return java('kafka', ['-Xms64m', ...jvm.flags('kafka', MAX_HEAP_MB)], [logging, 'kafka.Kafka', properties])
    },
    isHealthy: () => answersKafka(LOOPBACK, port),
    afterStop: () => jvm.keepArchive('kafka'),
    slowStopReason: () => (jvm.writesArchive('kafka') ? 'writes its class archive' : undefined),
  }
}

/** Relative to the broker's working folder: `log.dirs` is a list, and a comma in the path would cut it in two. */
const LOG_DIR = 'log'

/** The broker's settings; the keys are Kafka's. `logDir` is relative to the folder the broker runs in. */
export const brokerProperties = (port: number, logDir: string): Record<string, string | number | boolean> => ({
  'process.roles': 'broker,controller',
  'node.id': 1,
  'controller.quorum.voters': `1@${LOOPBACK}:${port + 1}`,
  listeners: `PLAINTEXT://${LOOPBACK}:${port},CONTROLLER://${LOOPBACK}:${port + 1}`,
  'advertised.listeners': `PLAINTEXT://${LOOPBACK}:${port}`,
  'controller.listener.names': 'CONTROLLER',
  'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
  'inter.broker.listener.name': 'PLAINTEXT',
  'log.dirs': logDir,
  'offsets.topic.replication.factor': 1,
  'offsets.topic.num.partitions': 4,
  'transaction.state.log.replication.factor': 1,
  'transaction.state.log.min.isr': 1,
  'transaction.state.log.num.partitions': 4,
  'share.coordinator.state.topic.replication.factor': 1,
  'share.coordinator.state.topic.min.isr': 1,
  'share.coordinator.state.topic.num.partitions': 1,
  'auto.create.topics.enable': false,
  'group.initial.rebalance.delay.ms': 0,
  'log.cleaner.dedupe.buffer.size': 16 * 1024 * 1024,
  'log.cleaner.io.buffer.size': 128 * 1024,
  'num.network.threads': 2,
  'num.io.threads': 4,
  'num.recovery.threads.per.data.dir': 2,
  'background.threads': 2,
  'broker.session.timeout.ms': 1000,
  'broker.heartbeat.interval.ms': 250,
  'metadata.max.idle.interval.ms': 0,
})

const LOGGING = `<Configuration status="WARN">
  <Appenders>
    <Console name="console"><PatternLayout pattern="%d{ISO8601} %p %c %m%n"/></Console>
  </Appenders>
  <Loggers>
    <Root level="WARN"><AppenderRef ref="console"/></Root>
  </Loggers>
</Configuration>
`
