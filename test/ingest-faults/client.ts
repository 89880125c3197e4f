import { spawn } from 'node:child_process'
import path from 'node:path'
import { childEnvironment } from '../../platform/config.ts'
import type { Stage } from './stage.ts'

/** `reelstream upload` in a process of its own, as a person starts it. */
export interface Client {
  kill(): Promise<void>
  readonly ended: Promise<ClientEnd>
}

export interface ClientEnd {
  /** Null when it was killed. */
  readonly code: number | null
  readonly videoId: string | undefined
  /** Bytes that the server had already, as it was told. */
  readonly foundBytes: number
  /** What it said last. */
  readonly lastWords: string
  /** From then to its end, ms. */
  readonly lingeredMs: number
}

const CLI = path.resolve(import.meta.dirname, '..', '..', 'cli', 'main.ts')

/** @param memory name of what it remembers: the same one goes on with what was interrupted */
export const startClient = ({ roles, source, connections, folder }: Stage, memory: string): Client => {
  const args = [CLI, 'upload', source.file, '--json', '--parallel', String(connections)]
  const env = { ...childEnvironment({}), ...roles.env, XDG_STATE_HOME: path.join(folder, memory) }
  const child = spawn(process.execPath, args, { env, cwd: folder })
  let output = ''
  let lastWordAtMs = performance.now()
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (text) => {
      output += text
      lastWordAtMs = performance.now()
    })
  }
  const ended = new Promise<ClientEnd>((resolve) => {
    child.once('close', (code) => resolve({ ...endOf(code, output), lingeredMs: performance.now() - lastWordAtMs }))
  })
  return {
    ended,
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

const endOf = (code: number | null, output: string): Omit<ClientEnd, 'lingeredMs'> => {
  const lines = output.trimEnd().split('\n')
  const events = lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Said)
  return {
    code,
    videoId: events.findLast(({ videoId }) => videoId !== undefined)?.videoId,
    foundBytes: events.find(({ event }) => event === 'resumed')?.storedBytes ?? 0,
    lastWords: lines.at(-1) ?? '',
  }
}

interface Said {
  readonly event: string
  readonly videoId?: string
  readonly storedBytes?: number
}
