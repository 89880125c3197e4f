import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { UpstreamError } from '../../platform/errors.ts'
import { CLOCK_MS, type FoldNames } from './fold.ts'
import type { Java } from './java.ts'

/** One of the two that are compared, as a process. */
export interface Side {
  readonly pid: number
  /** Resolves when it works; Kafka Streams does not say, it is ready with its first output. */
  readonly ready: Promise<void>
  /** Ends it gracefully. @throws UpstreamError BENCH_FAILED when it had already ended by itself */
  stop(): Promise<void>
}

export const APP_ID = 'bench'

interface EngineOptions extends FoldNames {
  readonly brokers: readonly string[]
  /** Where V8 leaves a CPU profile when the process ends. */
  readonly profileDir?: string | undefined
  /** Default: `DEPLOYED_FLAGS`. */
  readonly nodeFlags?: readonly string[]
}

/** Of Node, as docker-compose.yml starts the processors. */
export const DEPLOYED_FLAGS = ['--max-semi-space-size=64', '--min-semi-space-size=64']

/** The product's engine as a process. */
export interface EngineSide extends Side {
  /** What its heap holds after a full collection; `nodeFlags` must have `--expose-gc`. */
  liveHeapBytes(): Promise<number>
}

export const startEngine = ({ profileDir, nodeFlags = DEPLOYED_FLAGS, ...names }: EngineOptions): EngineSide => {
  const profiling = profileDir === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profileDir]
  const program = path.join(import.meta.dirname, 'fold-process.ts')
  const child = spawn(
    process.execPath,
    [...nodeFlags, ...profiling, program, JSON.stringify({ ...names, appId: APP_ID })],
    {
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    },
  )
  const ready = new Promise<void>((resolve) => {
    child.stdout?.on('data', (line) => {
      if (String(line).startsWith('ready')) resolve()
      else process.stdout.write(line)
    })
  })
  return {
    ...sideOf(child, ready, () => Promise.resolve()),
    liveHeapBytes: async () => {
      const answer = once(child, 'message')
      child.send('heap')
      return Number((await answer)[0])
    },
  }
}

interface StreamsOptions extends FoldNames {
  readonly brokers: readonly string[]
  readonly java: Java
}

/** How often Kafka Streams commits, ms: its own default for exactly_once_v2. */
export const COMMIT_INTERVAL_MS = 100

/** Kafka Streams, with a heap that it never fills and the collector that costs it the least CPU. */
export const startStreams = async (options: StreamsOptions): Promise<Side> => {
  const { brokers, java, name, input, output, envelope } = options
  const stateDir = await mkdtemp(path.join(tmpdir(), 'reelstream-bench-streams-'))
  const child = java.start(
    'StreamsFold',
    ['-Xms512m', '-Xmx512m', '-XX:+UseSerialGC'],
    [
      ...[brokers.join(','), name, input, output, envelope ? 'envelope' : 'plain', String(CLOCK_MS)],
      ...[`/${APP_ID}/${name}`, String(COMMIT_INTERVAL_MS), java.schemaFile, stateDir],
    ],
  )
  return sideOf(child, Promise.resolve(), () => rm(stateDir, { recursive: true, force: true }))
}

const sideOf = (child: ChildProcess, ready: Promise<void>, clean: () => Promise<void>): Side => {
  const ended = once(child, 'exit')
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  const { pid } = child
  if (pid === undefined) throw new UpstreamError('BENCH_FAILED', `${child.spawnfile} could not be started`)
  return {
    pid,
    ready,
    stop: async () => {
      const { exitCode } = child
      child.kill('SIGTERM')
      await ended
      process.off('exit', kill)
      await clean()
      if (exitCode !== null) throw new UpstreamError('BENCH_FAILED', `${child.spawnfile} ended with ${exitCode}`)
    },
  }
}
