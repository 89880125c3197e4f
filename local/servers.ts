import type { Config } from '../platform/config.ts'
import { describeError, UpstreamError } from '../platform/errors.ts'
import { type Artifacts, prepareArtifacts } from './artifacts.ts'
import type { Children } from './child.ts'
import { type Jvm, prepareJvm } from './jvm.ts'
import { type KafkaNode, kafkaServer } from './kafka.ts'
import { type PortClaim, requireFreePorts } from './ports.ts'
import { postgresServer } from './postgres.ts'
import { preparePostgresHome } from './postgres-home.ts'
import type { Progress } from './progress.ts'
import { registryServer } from './registry.ts'
import { s3Server } from './s3.ts'
import type { Secrets } from './secrets.ts'
import { LOOPBACK, type LocalServer } from './server.ts'
import { type Supervised, supervise } from './supervise.ts'

/**
 * Starts the real servers that this machine is to run itself: each of Kafka, schema registry, S3 and PostgreSQL unless
 * the settings name one that runs elsewhere. The product cannot tell the difference; it is given the same settings.
 *
 * All four start at once. Only what was not there yet makes a start slow: artifacts, formatted storage.
 */
export interface LocalServersOptions {
  readonly config: Config
  /** absolute, exists, private to this user */
  readonly dataDir: string
  readonly secrets: Secrets
  readonly children: Children
  readonly progress: Progress
  /** Start a server again that died; default true. */
  readonly restart?: boolean
}

export interface LocalServers {
  /** the settings by which processes find the servers, external ones included */
  readonly env: Readonly<Record<string, string>>
  /** pids of the servers that run here, by name */
  pids(): Readonly<Record<string, number>>
  /** Stops them all at once, cleanly. */
  stop(): Promise<void>
}

const READY_TIMEOUT_MS = 90_000

/**
 * Resolves when all servers answer. When one fails, the others are stopped first.
 * @throws ConfigError PORT_IN_USE; UpstreamError ARTIFACTS_UNAVAILABLE, CHILD_FAILED, NOT_READY, STOPPING
 */
export const startLocalServers = async (options: LocalServersOptions): Promise<LocalServers> => {
  await requireFreePorts(localServerPorts(options.config))
  const plans = planServers(options)
  const outcomes = await Promise.allSettled(plans.map((plan) => startOne(plan, options)))
  const started = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
  const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []))
  if (failures.length > 0) {
    await stopServers(started, options)
    throw failures.find((failure) => !isStopping(failure)) ?? failures[0]
  }
  return {
    env: Object.assign(externalServers(options.config), ...started.map(({ server }) => server.env)),
    pids: () => Object.fromEntries(started.map(({ process }) => [process.name, process.pid()])),
    stop: () => stopServers(started, options),
  }
}

/** The ports that startLocalServers will need, so that a caller can check them together with its own. */
export const localServerPorts = (config: Config): PortClaim[] => {
  const claim = (what: string, setting: string, port: number): PortClaim => ({ what, setting, host: LOOPBACK, port })
  return [
    ...(config.kafkaBrokers.length > 0
      ? []
      : [
          claim('Kafka', 'KAFKA_PORT', config.kafkaPort),
          { ...claim("Kafka's controller", 'KAFKA_PORT', config.kafkaPort + 1), offset: 1 },
        ]),
    ...(config.schemaRegistryUrl ? [] : [claim('the schema registry', 'REGISTRY_PORT', config.registryPort)]),
    ...(config.s3Endpoint ? [] : [claim('the S3 server', 'S3_PORT', config.s3Port)]),
    ...(config.databaseUrl ? [] : [claim('PostgreSQL', 'POSTGRES_PORT', config.postgresPort)]),
  ]
}

interface Plan {
  readonly name: string
  readonly title: string
  make(): Promise<LocalServer>
}

interface Started {
  readonly server: LocalServer
  readonly title: string
  readonly process: Supervised
}

/** One plan per server that runs here. Making a Java server waits for its programs, making PostgreSQL does not. */
const planServers = ({ config, dataDir, secrets, progress, children }: LocalServersOptions): Plan[] => {
  const java = lazily(() => prepareJava(config, progress, children.stopping))
  const plans: (Plan & { readonly external: boolean })[] = [
    {
      name: 'kafka',
      title: 'Kafka 4.4.0',
      external: config.kafkaBrokers.length > 0,
      make: async () => kafkaServer({ dataDir, node: onlyNode(config.kafkaPort), ...(await java()) }),
    },
    {
      name: 'registry',
      title: 'Schema registry (Apicurio 2.6.13)',
      external: config.schemaRegistryUrl !== '',
      make: async () => registryServer({ dataDir, port: config.registryPort, ...(await java()) }),
    },
    {
      name: 's3',
      title: 'S3 (S3Proxy 4.1.0)',
      external: config.s3Endpoint !== '',
      make: async () => s3Server({ dataDir, port: config.s3Port, ...s3Keys(config, secrets), ...(await java()) }),
    },
    {
      name: 'postgres',
      title: 'PostgreSQL 18.4',
      external: config.databaseUrl !== '',
      make: async () => postgresServer(await preparePostgresHome(dataDir), config.postgresPort),
    },
  ]
  return plans.filter(({ external }) => !external)
}

const startOne = async (plan: Plan, { children, progress, restart }: LocalServersOptions): Promise<Started> => {
  progress.update(plan.name, { title: plan.title, state: 'working', detail: 'starting' })
  try {
    const server = await plan.make()
    await server.prepare?.(children)
    const process = await supervise(server, {
      children,
      readyTimeoutMs: READY_TIMEOUT_MS,
      report: (line) => progress.say(line),
      ...(restart !== undefined && { restart }),
    })
    await server.finish?.()
    progress.update(plan.name, { state: 'ready', detail: 'ready after' })
    return { server, title: plan.title, process }
  } catch (error) {
    // The others are still starting: nothing more may be spawned, and those that wait for an answer give up at once.
    children.close()
    if (!isStopping(error)) progress.update(plan.name, { state: 'failed', detail: describeError(error) })
    throw error
  }
}

const stopServers = async (started: readonly Started[], { progress, children }: LocalServersOptions) => {
  const slow = started.filter(({ server }) => server.slowStopReason?.() !== undefined)
  if (slow.length > 0) {
    const names = slow.map(({ title }) => title).join(', ')
    progress.say(`  this stop takes about 5 s longer, once: ${names} write class archives that halve every later start`)
  }
  await Promise.all(started.map(({ process }) => process.stop()))
  await children.stopAll()
}

const prepareJava = async (
  config: Config,
  progress: Progress,
  signal: AbortSignal,
): Promise<{ artifacts: Artifacts; jvm: Jvm }> => {
  let downloading = false
  const artifacts = await prepareArtifacts(config.cacheDir, signal, (detail) => {
    downloading = true
    progress.update('programs', { title: 'Server programs', state: 'working', detail })
  })
  if (downloading) progress.update('programs', { state: 'ready', detail: 'ready after' })
  return { artifacts, jvm: await prepareJvm(artifacts.archiveDir) }
}

const onlyNode = (port: number): KafkaNode => ({ id: 1, port, clusterPorts: [port] })

const s3Keys = (config: Config, secrets: Secrets) => ({
  accessKeyId: config.s3AccessKeyId || secrets.s3AccessKeyId,
  secretAccessKey: config.s3SecretAccessKey || secrets.s3SecretAccessKey,
})

const externalServers = (config: Config): Record<string, string> => ({
  ...(config.kafkaBrokers.length > 0 && { KAFKA_BROKERS: config.kafkaBrokers.join(',') }),
  ...(config.schemaRegistryUrl && { SCHEMA_REGISTRY_URL: config.schemaRegistryUrl }),
  ...(config.s3Endpoint && {
    S3_ENDPOINT: config.s3Endpoint,
    S3_ACCESS_KEY_ID: config.s3AccessKeyId,
    S3_SECRET_ACCESS_KEY: config.s3SecretAccessKey,
    S3_SESSION_TOKEN: config.s3SessionToken,
  }),
  ...(config.databaseUrl && { DATABASE_URL: config.databaseUrl }),
})

const isStopping = (error: unknown) => error instanceof UpstreamError && error.code === 'STOPPING'

const lazily = <T>(make: () => Promise<T>): (() => Promise<T>) => {
  let made: Promise<T> | undefined
  return () => {
    made ??= make()
    return made
  }
}
