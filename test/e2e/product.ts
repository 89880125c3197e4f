import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import { freePortSettings } from '../../local/ports.ts'
import { removeSharedPostgresData } from '../../local/postgres-home.ts'
import { type RunFile as RunFileOnDisk, runFilePath } from '../../local/run-file.ts'
import { childEnvironment } from '../../platform/config.ts'

/** The whole product as `npm start` runs it, on free ports and data of its own. */
export interface Product {
  readonly dataDir: string
  readonly env: NodeJS.ProcessEnv
  /** run.json as it is now: pids change when a role is restarted. */
  run(): Promise<RunFile>
  stop(): Promise<void>
  /** Starts again on the same data and ports. */
  start(): Promise<void>
}

/** As `npm start` writes it; a product that is ready has every role. */
export type RunFile = RunFileOnDisk & {
  readonly pids: Readonly<Record<'processors' | 'workers' | 'projections' | 'front', number>>
}

const ROOT = path.resolve(import.meta.dirname, '..', '..')
const START_WITHIN_MS = 120_000

/** Starts it with an empty catalogue (no sample) and stops it, its data removed, when the test ends. */
export const startProduct = async (t: Test, settings: Readonly<Record<string, string>> = {}): Promise<Product> => {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'reelstream-e2e-'))
  const env = {
    ...withoutServers(childEnvironment({})),
    ...(await freePortSettings()),
    DATA_DIR: dataDir,
    // What the command line remembers is of this product alone.
    XDG_STATE_HOME: dataDir,
    ...settings,
  }
  let supervisor: ChildProcess | null = null
  let output = ''
  const product: Product = {
    dataDir,
    env,
    run: async () => JSON.parse(await readFile(runFilePath(dataDir), 'utf8')) as RunFile,
    start: async () => {
      supervisor = spawn(process.execPath, [path.join(ROOT, 'local/main.ts'), '--no-sample'], {
        cwd: ROOT,
        env,
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      output = ''
      for (const stream of [supervisor.stdout, supervisor.stderr]) stream?.on('data', (text) => (output += text))
      const child = supervisor
      await until(
        'the product is ready',
        async () => {
          if (child.exitCode !== null) throw new Error(`the product ended:\n${output}`)
          return output.includes('Reelstream is ready')
        },
        START_WITHIN_MS,
      )
    },
    stop: async () => {
      const child = supervisor
      supervisor = null
      if (child === null || child.exitCode !== null) return
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGTERM')
      await ended
    },
  }
  t.teardown(async () => {
    await product.stop()
    await removeSharedPostgresData(dataDir)
    await rm(dataDir, { recursive: true, force: true })
  })
  await product.start()
  return product
}

/** Servers of the test run must not be used: this product has its own, which are killed. */
const withoutServers = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv => {
  const own = { ...env }
  for (const name of [
    'KAFKA_BROKERS',
    'SCHEMA_REGISTRY_URL',
    'S3_ENDPOINT',
    'S3_ACCESS_KEY_ID',
    'S3_SECRET_ACCESS_KEY',
    'DATABASE_URL',
    'DATA_DIR',
    'JWT_SECRET',
  ])
    delete own[name]
  return own
}

export const until = async <T>(
  what: string,
  condition: () => Promise<T | undefined | false>,
  timeoutMs = 60_000,
): Promise<T> => {
  const end = Date.now() + timeoutMs
  for (;;) {
    const found = await condition()
    if (found !== undefined && found !== false) return found
    if (Date.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await delay(100)
  }
}

/** A video as the API shows it. */
export interface ShownVideo {
  readonly videoId: string
  readonly status: string
  readonly ready: boolean
  readonly durationMs: number | null
  readonly error?: { readonly code: string; readonly message: string }
  readonly renditions: readonly { readonly name: string; readonly width: number; readonly height: number }[]
}

export const videoOf = async ({ apiUrl, token }: RunFile, videoId: string): Promise<ShownVideo | undefined> => {
  const response = await fetch(`${apiUrl}/videos/${videoId}`, { headers: { authorization: `Bearer ${token}` } }).catch(
    () => undefined,
  )
  return response?.ok ? ((await response.json()) as ShownVideo) : undefined
}

/** Waits for a status that does not change any more. */
export const settledVideo = (product: Product, videoId: string, timeoutMs = 120_000): Promise<ShownVideo> =>
  until(
    `video ${videoId} is settled`,
    async () => {
      const video = await videoOf(await product.run(), videoId)
      return video !== undefined && ['ready', 'rejected', 'failed', 'deleted'].includes(video.status) && video
    },
    timeoutMs,
  )

/** Runs the CLI as a user would, and gives its exit code, what it said on stdout and stderr, and its JSON lines. */
export const cli = (product: Pick<Product, 'env'>, ...args: readonly string[]) =>
  new Promise<{ code: number | null; lines: Record<string, unknown>[]; stdout: string; stderr: string }>((resolve) => {
    const child = spawn(process.execPath, [path.join(ROOT, 'cli/main.ts'), ...args], { cwd: ROOT, env: product.env })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (text) => (stdout += text))
    child.stderr.on('data', (text) => (stderr += text))
    child.on('close', (code) => {
      const lines = stdout.split('\n').filter((line) => line.startsWith('{'))
      resolve({ code, lines: lines.map((line) => JSON.parse(line) as Record<string, unknown>), stdout, stderr })
    })
  })
