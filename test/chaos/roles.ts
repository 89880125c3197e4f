import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createChildren } from '../../local/child.ts'
import { openDataDir } from '../../local/data-dir.ts'
import { answersHttp } from '../../local/health.ts'
import type { BrokerSettings } from '../../local/kafka.ts'
import { type KafkaCluster, startKafkaCluster } from '../../local/kafka-cluster.ts'
import { freePorts } from '../../local/ports.ts'
import { removeSharedPostgresData } from '../../local/postgres-home.ts'
import { silentProgress } from '../../local/progress.ts'
import { productPrograms, type Role } from '../../local/roles.ts'
import { loadSecrets } from '../../local/secrets.ts'
import { startLocalServers } from '../../local/servers.ts'
import { localToken, productSettings, type Settings } from '../../local/settings.ts'
import { childEnvironment, readConfig } from '../../platform/config.ts'
import { BugError } from '../../platform/errors.ts'
import { endWithProcess } from './end-with-process.ts'
import { until } from './trial.ts'

/**
 * The product's four processes with nobody who starts them again, on real servers of their own: how they end and what
 * they outlive is theirs alone. Kafka can be killed and started by the test.
 */
export interface Roles {
  readonly kafka: KafkaCluster
  /** For programs that talk to the product: servers, gateway, token. */
  readonly env: NodeJS.ProcessEnv
  /** pids of the other servers, by name: `registry`, `s3`, `postgres` */
  serverPids(): Readonly<Record<string, number>>
  /** Starts one of `processors`, `workers`, `projections`, `front`; does not wait. A second one needs a port of its own. */
  launch(name: string, port?: number): RoleProcess
  /** Starts it and waits until it is ready. */
  start(name: string): Promise<RoleProcess>
}

export interface RoleProcess {
  readonly name: string
  readonly pid: number
  signal(signal: NodeJS.Signals): void
  readonly exited: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>
  hasExited(): boolean
  isReady(): Promise<boolean>
  /** What it has logged, parsed; a line that is no JSON is `{ raw }`. */
  log(): readonly Readonly<Record<string, unknown>>[]
  /** CPU time so far, ms. */
  cpuMs(): Promise<number>
}

export interface RolesOptions {
  /** Start a server (not Kafka) again that died. */
  readonly restartServers?: boolean
  /** Settings over those that the processes would have, from those: where something is to be put in between. */
  readonly detours?: (settings: Settings) => Promise<Settings>
  /** Settings of the broker, which listens on the one port and may listen on the other, too. */
  readonly broker?: (port: number, sparePort: number) => BrokerSettings
  /** Called when the broker is up, before the migrate step. */
  readonly onBroker?: (sparePort: number) => Promise<void>
}

/** Starts the servers and migrates; everything ends with `t`, a test or whoever else tears down. */
export const openRoles = async (
  t: { teardown(end: () => Promise<void>): void },
  {
    restartServers = false,
    detours = async () => ({}),
    broker = () => ({}),
    onBroker = async () => undefined,
  }: RolesOptions = {},
): Promise<Roles> => {
  const dataDir = await openDataDir(await mkdtemp(path.join(tmpdir(), 'reelstream-roles-')))
  const [kafkaPort = 0, , registry, s3, postgres, web, processors, workers, projections, spare = 0] =
    await freePorts(10)
  const kafka = await startKafkaCluster({
    dataDir: path.join(dataDir, 'broker'),
    ports: [kafkaPort],
    settings: broker(kafkaPort, spare),
  })
  const ports = {
    WEB_PORT: web,
    PROCESSORS_PORT: processors,
    WORKERS_PORT: workers,
    PROJECTIONS_PORT: projections,
    REGISTRY_PORT: registry,
    S3_PORT: s3,
    POSTGRES_PORT: postgres,
  }
  const own = {
    ...Object.fromEntries(Object.entries(ports).map(([name, port]) => [name, String(port)])),
    KAFKA_BROKERS: kafka.addresses.join(','),
    SCHEMA_REGISTRY_URL: '',
    S3_ENDPOINT: '',
    DATABASE_URL: '',
  }
  const config = readConfig(childEnvironment(own))
  const secrets = await loadSecrets(dataDir)
  const children = createChildren(dataDir)
  const servers = await startLocalServers({
    config,
    dataDir,
    secrets,
    children,
    progress: silentProgress(),
    restart: restartServers,
  })
  const programs = productPrograms(config)
  const settings = productSettings(config, dataDir, servers.env, programs.roles, secrets)
  const env = childEnvironment({
    ...own,
    ...settings,
    ...(await detours(settings)),
    GATEWAY_URL: `http://127.0.0.1:${web}`,
    AUTHOR_TOKEN: await localToken(config, secrets),
  })
  const running: ChildProcess[] = []
  const killAll = () => {
    for (const child of running) child.kill('SIGKILL')
    kafka.killAll()
  }
  // A test that is ended from outside has no teardown.
  const takeBack = endWithProcess(() => {
    killAll()
    children.killAll()
  })
  t.teardown(async () => {
    takeBack()
    killAll()
    await Promise.all([kafka.stop(), servers.stop()])
    await removeSharedPostgresData(dataDir)
    await rm(dataDir, { recursive: true, force: true })
  })
  await onBroker(spare)
  const migrate = { name: 'migrate', command: process.execPath, args: [programs.migrate], env, cwd: dataDir }
  await children.run(migrate)

  const launch = (name: string, port?: number): RoleProcess => {
    const found = programs.roles.find((each) => each.name === name)
    if (found === undefined) throw new BugError('ROLE_UNKNOWN', `there is no role ${name}`)
    const role = { ...found, port: port ?? found.port }
    const logFile = path.join(dataDir, `${name}-${running.length}.log`)
    const child = spawnLogged(role, env, logFile)
    running.push(child)
    return roleProcess(role, child, logFile)
  }
  return {
    kafka,
    env,
    serverPids: () => servers.pids(),
    launch,
    async start(name) {
      const process = launch(name)
      await until(`${name} is ready`, () => process.isReady())
      return process
    },
  }
}

const spawnLogged = (role: Role, env: NodeJS.ProcessEnv, logFile: string): ChildProcess => {
  const log = openSync(logFile, 'a')
  try {
    return spawn(process.execPath, [role.entry], {
      stdio: ['ignore', log, log],
      env: { ...env, [role.portSetting]: String(role.port) },
    })
  } finally {
    closeSync(log)
  }
}

const roleProcess = (role: Role, child: ChildProcess, logFile: string): RoleProcess => {
  const pid = child.pid ?? 0
  let isOver = false
  return {
    name: role.name,
    pid,
    signal: (signal) => void child.kill(signal),
    exited: new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        isOver = true
        resolve({ code, signal })
      })
    }),
    hasExited: () => isOver,
    isReady: () => answersHttp(`http://127.0.0.1:${role.port}/readyz`, 200),
    log: () => readFileSync(logFile, 'utf8').trimEnd().split('\n').map(parseLine),
    cpuMs: () => cpuMsOf(pid),
  }
}

const parseLine = (line: string): Readonly<Record<string, unknown>> => {
  try {
    return JSON.parse(line) as Record<string, unknown>
  } catch {
    return { raw: line }
  }
}

/** A tick is 10 ms on Linux (sysconf CLK_TCK, proc_pid_stat(5)). */
const TICK_MS = 10
const UTIME_AFTER_NAME = 11

const cpuMsOf = async (pid: number): Promise<number> => {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[UTIME_AFTER_NAME]) + Number(fields[UTIME_AFTER_NAME + 1])) * TICK_MS
}
