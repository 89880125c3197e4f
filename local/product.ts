import { getCompileCacheDir } from 'node:module'
import { type Config, childEnvironment } from '../platform/config.ts'
import { describeError, UpstreamError } from '../platform/errors.ts'
import { type Children, createChildren } from './child.ts'
import { firstRun } from './first-run.ts'
import { answersHttp } from './health.ts'
import { stopLeftovers } from './leftovers.ts'
import { freePorts, requireFreePorts } from './ports.ts'
import type { Progress } from './progress.ts'
import { startProgressServer } from './progress-page.ts'
import type { Programs, Role } from './roles.ts'
import { type RunFile, removeRunFile, writeRunFile } from './run-file.ts'
import { loadSecrets } from './secrets.ts'
import { type LocalServers, localServerPorts, startLocalServers } from './servers.ts'
import { localToken, localUrl, probeHost, productSettings, type Settings } from './settings.ts'
import { type Supervised, supervise } from './supervise.ts'

/**
 * The whole product on one machine: the servers, then the migration, then the roles.
 *
 * Settings reach the processes by environment alone, so that no secret shows in a process list. The web port answers
 * from the first moment: with a progress page until the front role takes the port over. A role that dies is started
 * again and its new pid written to run.json. Stopping goes the other way round: first the roles, while the servers they
 * finish their work with still run, then the servers.
 */
export interface ProductOptions {
  readonly config: Config
  /** as openDataDir returned it, claimed by this process */
  readonly dataDir: string
  readonly programs: Programs
  readonly progress: Progress
  /** from adoptDataDir */
  readonly children: Children
}

export interface Product {
  readonly run: RunFile
  /** Roles first, then servers. */
  stop(): Promise<void>
}

const READY_TIMEOUT_MS = 90_000

/** Stops what an earlier supervisor of this data folder left behind, then makes ready to have children of our own. */
export const adoptDataDir = async (dataDir: string, progress: Progress): Promise<Children> => {
  const left = await stopLeftovers(dataDir)
  if (left.length > 0) progress.say(`  stopped what the last run left behind: ${left.join(', ')}`)
  await removeRunFile(dataDir)
  return createChildren(dataDir)
}

/**
 * Resolves when every role answers ready. When anything fails, everything is stopped first.
 * @throws ConfigError PORT_IN_USE; UpstreamError CHILD_FAILED, NOT_READY, ARTIFACTS_UNAVAILABLE, STOPPING
 */
export const startProduct = async (options: ProductOptions): Promise<Product> => {
  const { config, dataDir, progress, children } = options
  const secrets = await loadSecrets(dataDir)
  const roles = await withPorts(options.programs.roles)
  const claims = roles.map(({ title, portSetting, port }) => ({
    what: title.toLowerCase(),
    setting: portSetting,
    host: config.host,
    port,
  }))
  await requireFreePorts([...claims, ...localServerPorts(config)])
  const webUrl = localUrl(config.host, portOf(roles, 'WEB_PORT'))
  const page = await startProgressServer(config.host, portOf(roles, 'WEB_PORT'), progress)
  progress.say(`  watch the start at ${webUrl}`)

  let servers: LocalServers | undefined
  const running: Supervised[] = []
  const stop = async () => {
    children.close()
    await removeRunFile(dataDir)
    await page.close()
    await Promise.all(running.map((role) => role.stop()))
    await servers?.stop()
    await children.stopAll()
  }
  try {
    const [started] = await Promise.all([
      startLocalServers({ config, dataDir, secrets, children, progress }),
      firstRun(getCompileCacheDir(), { programs: firstPrograms(options.programs), flags: SMALL_NURSERY }, children),
    ])
    servers = started
    const settings = productSettings(config, dataDir, servers.env, roles, secrets)
    await migrate(options, settings)
    await page.close()
    const described = { webUrl, settings, token: await localToken(config, secrets), running }
    // A restart writes the file anew; before all roles are up there is none to write.
    let ready = false
    const save = async () => {
      if (ready && !children.stopping.aborted) await writeRunFile(dataDir, describeRun(described))
    }
    await startRoles(roles, settings, options, running, save)
    ready = true
    await save()
    return { run: describeRun(described), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

const migrate = async ({ programs, dataDir, children, progress }: ProductOptions, settings: Settings) => {
  progress.update('migrate', { title: 'Topics, schemas, tables', state: 'working', detail: 'migrating' })
  await children.run({
    name: 'migrate',
    command: process.execPath,
    args: [...SMALL_NURSERY, programs.migrate],
    env: childEnvironment(settings),
    cwd: dataDir,
  })
  progress.update('migrate', { state: 'ready', detail: 'ready after' })
}

/** Starts all roles at once; as soon as one fails, the others stop waiting. */
const startRoles = async (
  roles: readonly Role[],
  settings: Settings,
  options: ProductOptions,
  running: Supervised[],
  save: () => Promise<void>,
) => {
  const { children, progress, config } = options
  const startOne = async (role: Role) => {
    progress.update(role.name, { title: role.title, state: 'working', detail: 'starting' })
    try {
      const supervised = await supervise(managedRole(role, settings, options), {
        children,
        readyTimeoutMs: READY_TIMEOUT_MS,
        report: (line) => progress.say(`  ${line}`),
        onRestart: () => void save().catch((error) => progress.say(`  run.json: ${describeError(error)}`)),
      })
      running.push(supervised)
      progress.update(role.name, { state: 'ready', detail: `on ${config.host}:${role.port} after` })
    } catch (error) {
      children.close()
      throw error
    }
  }
  const outcomes = await Promise.allSettled(roles.map(startOne))
  const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []))
  const cause = failures.find((failure) => !(failure instanceof UpstreamError && failure.code === 'STOPPING'))
  if (failures.length > 0) throw cause ?? failures[0]
}

/**
 * V8's default young generation grows to 16 MiB three times over in each process. Four roles that mostly wait are 100 MB
 * smaller with 2 MiB, and the pipeline is as fast (bench/results/pipeline.md was measured with it). scripts/bootstrap.mjs
 * has the same for the supervisor: what Node keeps compiled depends on the flags, so they share it.
 */
const SMALL_NURSERY = ['--max-semi-space-size=2']

/** What is run once on a fresh checkout, before the roles are. */
const firstPrograms = ({ roles, preparations = [] }: Programs): readonly string[] => [
  ...roles.filter(({ endsWithoutSettings }) => endsWithoutSettings === true).map(({ entry }) => entry),
  ...preparations,
]

const managedRole = (role: Role, settings: Settings, { dataDir, config }: ProductOptions) => ({
  name: role.name,
  spec: () => ({
    name: role.name,
    command: process.execPath,
    args: [...SMALL_NURSERY, role.entry],
    env: childEnvironment(settings),
    cwd: dataDir,
  }),
  isHealthy: () => answersHttp(`http://${probeHost(config.host)}:${role.port}/readyz`, 200),
})

/** Port 0 asks for any free one; everybody must know which, so it is chosen here. */
const withPorts = async (roles: readonly Role[]): Promise<Role[]> => {
  const free = await freePorts(roles.length)
  return roles.map((role, i) => (role.port === 0 ? { ...role, port: free[i] ?? 0 } : role))
}

const portOf = (roles: readonly Role[], setting: string): number =>
  roles.find(({ portSetting }) => portSetting === setting)?.port ?? 0

interface Described {
  readonly webUrl: string
  readonly settings: Settings
  readonly token: string
  readonly running: readonly Supervised[]
}

const describeRun = ({ webUrl, settings, token, running }: Described): RunFile => ({
  webUrl,
  apiUrl: webUrl,
  gatewayUrl: webUrl,
  kafkaBrokers: settings.KAFKA_BROKERS ?? '',
  schemaRegistryUrl: settings.SCHEMA_REGISTRY_URL ?? '',
  s3Endpoint: settings.S3_ENDPOINT ?? '',
  databaseUrl: settings.DATABASE_URL ?? '',
  s3AccessKeyId: settings.S3_ACCESS_KEY_ID ?? '',
  s3SecretAccessKey: settings.S3_SECRET_ACCESS_KEY ?? '',
  s3SessionToken: settings.S3_SESSION_TOKEN ?? '',
  pids: Object.fromEntries(running.map((role) => [role.name, role.pid()])),
  supervisorPid: process.pid,
  token,
})
