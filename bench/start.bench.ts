import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { freePortSettings } from '../local/ports.ts'
import { removeSharedPostgresData } from '../local/postgres-home.ts'
import { childEnvironment } from '../platform/config.ts'
import { UpstreamError } from '../platform/errors.ts'
import { keep, median } from './table.ts'

/**
 * How long `npm start` takes, from the command to the line that says it is ready, and Ctrl-C to its end: on empty data
 * first, then on what that left. What has to be downloaded and compiled once is there.
 *
 * `npm run bench -- start [times]`
 */
const TIMES = 5
const ROOT = path.resolve(import.meta.dirname, '..')

interface Run {
  readonly readyMs: number
  readonly stopMs: number
}

export const bench = async ([times = TIMES]: readonly (number | string)[]): Promise<void> => {
  const fresh: Run[] = []
  const again: Run[] = []
  for (let n = 0; n < Number(times); n++) {
    const dataDir = await mkdtemp(path.join(tmpdir(), 'reelstream-bench-start-'))
    try {
      const env = childEnvironment({ ...(await freePortSettings()), DATA_DIR: dataDir, XDG_STATE_HOME: dataDir })
      fresh.push(await startAndStop(env))
      again.push(await startAndStop(env))
    } finally {
      await removeSharedPostgresData(dataDir)
      await rm(dataDir, { recursive: true, force: true })
    }
  }
  keep('start', [
    'Seconds from `npm start` (its program, without npm) to "ready", and from Ctrl-C to the end of all its processes.',
    '',
    '| data | ready: median | series | stopped: median | series |',
    '|---|---|---|---|---|',
    rowOf('empty', fresh),
    rowOf('kept', again),
  ])
}

const rowOf = (data: string, runs: readonly Run[]): string => {
  const cells = (all: readonly number[]) => `${seconds(median(all))} | ${all.map(seconds).join(' ')}`
  return `| ${data} | ${cells(runs.map(({ readyMs }) => readyMs))} | ${cells(runs.map(({ stopMs }) => stopMs))} |`
}

const seconds = (ms: number): string => (ms / 1000).toFixed(1)

const startAndStop = async (env: NodeJS.ProcessEnv): Promise<Run> => {
  const startedAtMs = performance.now()
  const product = spawn(process.execPath, [path.join(ROOT, 'scripts/bootstrap.mjs'), 'start', '--no-sample'], {
    cwd: ROOT,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const kill = () => product.kill('SIGTERM')
  process.once('exit', kill)
  const ended = once(product, 'exit')
  const readyAtMs = await readyIn(createInterface(product.stdout))
  const stoppingAtMs = performance.now()
  product.kill('SIGTERM')
  await ended
  process.off('exit', kill)
  return { readyMs: readyAtMs - startedAtMs, stopMs: performance.now() - stoppingAtMs }
}

/** When the line came; the rest is read on, or the product would wait for its reader. */
const readyIn = (lines: Interface): Promise<number> =>
  new Promise((resolve, reject) => {
    const said: string[] = []
    lines.on('line', (line) => {
      said.push(line)
      if (line.startsWith('Reelstream is ready')) resolve(performance.now())
    })
    lines.once('close', () => {
      reject(new UpstreamError('BENCH_FAILED', `it ended before it was ready:\n${said.join('\n')}`))
    })
  })
