import { existsSync } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import path from 'node:path'
import pg from 'pg'
import { childEnvironment } from '../platform/config.ts'
import type { ChildSpec } from './child.ts'
import type { PostgresHome } from './postgres-home.ts'
import { LOOPBACK, type LocalServer } from './server.ts'

/**
 * PostgreSQL from the npm package that carries its programs, driven directly.
 *
 * No Unix socket (its folder would be one more thing to find and to clean up) and no password, for it listens on
 * loopback only, like the other three. Everything it holds can be folded again from the log, yet it keeps its defaults
 * for durability: positions that are lost would only make a start slow, but they would make every start slow.
 */
const USER = 'reelstream'
const DATABASE = 'reelstream'

export const postgresServer = (home: PostgresHome, port: number): LocalServer => {
  const cluster = path.join(home.folder, 'cluster')
  const run = (name: string, program: string, args: readonly string[]): ChildSpec => ({
    name,
    command: path.join(home.binDir, program),
    args,
    env: childEnvironment({ LC_ALL: 'C.UTF-8', TZ: 'UTC' }),
    // A working folder that any user may enter.
    cwd: '/',
    ...(home.user && { user: home.user }),
    // SIGTERM would wait for clients to leave; SIGINT is the "fast" stop: disconnect them, write everything, exit.
    stopSignal: 'SIGINT',
  })
  return {
    name: 'postgres',
    env: { DATABASE_URL: `postgresql://${USER}@${LOOPBACK}:${port}/${DATABASE}` },
    async prepare(children) {
      if (existsSync(path.join(cluster, 'PG_VERSION'))) return
      const unfinished = `${cluster}.new`
      await rm(unfinished, { recursive: true, force: true })
      const how = ['--auth=trust', '--encoding=UTF8', '--locale=C.UTF-8', '--no-sync', '--no-instructions']
      await children.run(run('postgres-initdb', 'initdb', ['-D', unfinished, '-U', USER, ...how]))
      await rename(unfinished, cluster)
    },
    spec: () => run('postgres', 'postgres', ['-D', cluster, '-p', String(port), ...setting(SETTINGS)]),
    isHealthy: () => answers(port),
    finish: () => createDatabase(port),
    // After a kill -9 its pid stays taken until init has seen it die, and its sessions need a moment to notice and to
    // let go of the shared memory. Nobody else can be using the folder: we hold the lock of the data folder.
    isPassing: ({ message }) =>
      /pre-existing shared memory block|lock file "postmaster.pid" already exists/.test(message),
  }
}

/** Reads go straight to the operating system: the workers that would do it in the background are three processes more. */
const SETTINGS = {
  listen_addresses: LOOPBACK,
  unix_socket_directories: '',
  shared_buffers: '64MB',
  log_min_messages: 'warning',
  io_method: 'sync',
  max_logical_replication_workers: '0',
}

const setting = (settings: Readonly<Record<string, string>>): string[] =>
  Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])

const connectTo = (port: number, database: string) => {
  const client = new pg.Client({ host: LOOPBACK, port, user: USER, database, connectionTimeoutMillis: 2_000 })
  // A server that is stopped under the connection says so here; without a listener it would end the process.
  client.on('error', () => undefined)
  return client
}

const answers = async (port: number): Promise<boolean> => {
  const client = connectTo(port, 'postgres')
  try {
    await client.connect()
    await client.query('SELECT 1')
    return true
  } catch {
    return false
  } finally {
    await client.end().catch(() => undefined)
  }
}

const createDatabase = async (port: number) => {
  const client = connectTo(port, 'postgres')
  await client.connect()
  try {
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [DATABASE])
    if (rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`)
  } finally {
    await client.end()
  }
}
