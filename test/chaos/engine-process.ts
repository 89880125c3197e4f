import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { childEnvironment } from '../../platform/config.ts'
import type { TallyProcessOptions, TallyProcessStatus } from './tally-process.ts'

/** A process of the engine, from outside. */
export interface EngineProcess {
  readonly name: string
  /** What it said last; undefined before its first word. */
  status(): TallyProcessStatus | undefined
  signal(signal: NodeJS.Signals): void
  /** Resolves when it has been given tasks, open or not; or when it has ended. */
  readonly assigned: Promise<void>
  readonly exited: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>
  hasExited(): boolean
  /** How many of its log lines hold this text. */
  linesWith(text: string): number
}

const PROGRAM = path.join(import.meta.dirname, 'tally-process.ts')

/** Starts one; its output goes to `<logDir>/<name>.log`. */
export const startEngine = (name: string, logDir: string, options: TallyProcessOptions): EngineProcess => {
  const logFile = path.join(logDir, `${name}.log`)
  const child = spawnLogged(logFile, options)
  let status: TallyProcessStatus | undefined
  let isOver = false
  const given = Promise.withResolvers<void>()
  child.on('message', (message) => {
    status = message as TallyProcessStatus
    if (status.tasks.length > 0) given.resolve()
  })
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      isOver = true
      given.resolve()
      resolve({ code, signal })
    })
  })
  return {
    name,
    status: () => status,
    signal: (signal) => void child.kill(signal),
    assigned: given.promise,
    exited,
    hasExited: () => isOver,
    linesWith: (text) =>
      readFileSync(logFile, 'utf8')
        .split('\n')
        .filter((line) => line.includes(text)).length,
  }
}

const spawnLogged = (logFile: string, options: TallyProcessOptions): ChildProcess => {
  const log = openSync(logFile, 'a')
  try {
    return spawn(process.execPath, [PROGRAM, JSON.stringify(options)], {
      stdio: ['ignore', log, log, 'ipc'],
      env: childEnvironment({}),
    })
  } finally {
    closeSync(log)
  }
}
