import { createFfmpeg, type Ffmpeg } from '../media/ffmpeg.ts'
import { readLadder } from '../media/ladder-file.ts'
import { systemClock } from '../platform/clock.ts'
import { type Config, readConfig, requireSettings } from '../platform/config.ts'
import { endGracefully, patiently } from '../platform/graceful-end.ts'
import { startHealthServer } from '../platform/http/health-server.ts'
import { createLogger } from '../platform/log.ts'
import { createMetrics } from '../platform/metrics.ts'
import { openSpanExporter } from '../platform/span-exporter.ts'
import { requireTopics } from '../runtime/kafka/topics.ts'
import { engineMetrics, taskGauges } from '../runtime/run/engine-metrics.ts'
import { withSpans } from '../runtime/run/engine-spans.ts'
import type { BoundProcessor } from '../runtime/run/executors.ts'
import type { TaskReport } from '../runtime/run/processor-host.ts'
import { type RunningTopology, run } from '../runtime/run/run.ts'
import { openSession } from '../runtime/run/session.ts'
import { type RangeProxy, startRangeProxy } from '../storage/range-proxy.ts'
import { createCompletingClient, createS3Client, type S3Client, s3SettingsOf } from '../storage/s3-client.ts'
import type { ProductSettings } from './index.ts'
import { instanceIdOf, productSettings } from './settings.ts'
import { topicSpecs } from './topics.ts'

/**
 * What `processors` and `workers` have in common as processes: settings, clients, health, and a graceful end. A role
 * says which processors it runs, with which executors.
 */
export interface Tools {
  readonly config: Config
  readonly settings: ProductSettings
  readonly s3: S3Client
  /** For what a server works on for long. */
  readonly completing: S3Client
  readonly proxy: RangeProxy
  readonly ffmpeg: Ffmpeg
}

export interface RoleDefinition {
  readonly name: string
  readonly port: (config: Config) => number
  readonly bind: (tools: Tools) => readonly BoundProcessor[]
  /** How long the group waits for a dead process of this role, ms. */
  readonly sessionTimeoutMs?: number
}

export const runRole = async (role: RoleDefinition): Promise<void> => {
  const config = readConfig()
  requireSettings(config, ['kafkaBrokers', 'schemaRegistryUrl', 's3Endpoint'])
  const log = createLogger(role.name, config.logLevel)
  const atEnd = endGracefully(log)
  const s3Settings = s3SettingsOf(config, role.name)
  const [s3, completing] = [createS3Client(s3Settings), createCompletingClient(s3Settings)]
  const [ffmpeg, proxy, session] = await Promise.all([
    createFfmpeg({ ffmpegPath: config.ffmpegPath, ffprobePath: config.ffprobePath, log }),
    startRangeProxy(s3),
    patiently(
      () =>
        openSession({
          brokers: config.kafkaBrokers,
          registryUrl: config.schemaRegistryUrl,
          clientId: `${config.appId}-${role.name}`,
          log,
        }),
      log,
    ),
  ])
  const settings = productSettings(config, readLadder(), await ffmpeg.version())
  const bound = role.bind({ config, settings, s3, completing, proxy, ffmpeg })
  const processors = bound.map(({ processor }) => processor)
  await patiently(() => requireTopics(session.kafka, topicSpecs(config, processors), log), log)
  const metrics = createMetrics(role.name)
  const spans = await openSpanExporter({ endpoint: config.otlpEndpoint, service: role.name, log })
  const running = await run(bound, {
    ...session,
    appId: config.appId,
    instanceId: instanceIdOf(config),
    clock: systemClock,
    log,
    observer: withSpans(engineMetrics(metrics), spans),
    ...(role.sessionTimeoutMs === undefined ? {} : { sessionTimeoutMs: role.sessionTimeoutMs }),
  })
  taskGauges(metrics, () => running.report())
  const health = await startHealthServer({
    host: config.host,
    port: role.port(config),
    name: role.name,
    ready: async () => readiness(running),
    metrics,
  })
  log.info({ port: health.port }, 'role started')
  atEnd(async () => {
    await running.stop()
    await Promise.all([health.close(), proxy.close(), session.close(), spans.close()])
    s3.destroy()
    completing.destroy()
  })
}

const readiness = (running: RunningTopology): { ready: boolean; detail: string } => {
  const report = running.report()
  const troubles = report.flatMap(troubleOf)
  if (running.isReady) return { ready: true, detail: [`${report.length} tasks`, ...troubles].join('; ') }
  return { ready: false, detail: troubles.join('; ') || 'tasks are being opened, or Kafka cannot be reached' }
}

/** What an operator has to do something about. Blocked keys do not stop the others, so they leave a role ready. */
const troubleOf = ({ processor, task, state, failure, blocked, held }: TaskReport): readonly string[] => {
  const name = `${processor}/${task}`
  if (failure !== null) return [`${name}: ${failure}`]
  if (held !== null) {
    const { outputs, effects, timers } = held
    const left = `${outputs} events, ${effects} effects and ${timers} timers`
    return [`${name} has replayed its inputs and has ${left} left to do: reelstream processors release ${processor}`]
  }
  if (state === 'replaying') return [`${name} replays its inputs`]
  return blocked === 0 ? [] : [`${name} has ${blocked} blocked keys: reelstream blocked list ${processor}`]
}
