import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, renameSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { UpstreamError } from '../platform/errors.ts'
import { type ProcessRecord, writeProcessRecords } from './leftovers.ts'
import { processIdentity, signalGroup } from './processes.ts'

/**
 * The processes that one supervisor owns.
 *
 * Every child leads its own session (`detached`), for two reasons: Ctrl-C in a terminal reaches the supervisor alone,
 * which can then stop things in their order; and whatever a child has left behind (an ffmpeg, say) can be found and
 * ended by the group when the child itself died. Each is written to a record file with its start time, so that the next
 * supervisor can tell a survivor of a kill -9 from a stranger that got the same pid (leftovers.ts).
 *
 * Once stopAll() or close() was called, start() throws: a start-up that is still half way must not leave an orphan.
 */
export interface ChildSpec {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
  readonly cwd: string
  /** run as this user (only root may ask for it) */
  readonly user?: { readonly uid: number; readonly gid: number }
  readonly stopSignal?: NodeJS.Signals
  /** after this long the whole group is killed; default 20 s */
  readonly stopTimeoutMs?: number
}

export interface ChildExit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** why the program could not even be started */
  readonly error?: Error
}

export interface Child {
  readonly name: string
  readonly pid: number
  /** where the output of this run begins in its log file, bytes */
  readonly logOffsetBytes: number
  /** never rejects */
  readonly exited: Promise<ChildExit>
  isRunning(): boolean
  /** Asks the child to stop, kills its group when it does not; resolves when it is gone. May be called repeatedly. */
  stop(): Promise<ChildExit>
}

export interface Children {
  /** @throws UpstreamError STOPPING once the children are being stopped, CHILD_NOT_STARTED when there is no such program */
  start(spec: ChildSpec): Child
  /**
   * Runs a program to its end, or stops it when stopping begins.
   * @throws UpstreamError CHILD_FAILED with the end of its log unless it exits with 0, STOPPING when it was stopped
   */
  run(spec: ChildSpec): Promise<void>
  /** aborted when nothing may be started any more */
  readonly stopping: AbortSignal
  /** From now on start() throws. What run() waits for is stopped; children from start() go on. */
  close(): void
  /** close(), then stops all that still run, all at once. */
  stopAll(): Promise<void>
  /** Kills all that still run, with whatever they have started, at once. */
  killAll(): void
  logFile(name: string): string
}

const STOP_TIMEOUT_MS = 20_000
const LOG_ROTATE_BYTES = 20 * 1024 * 1024

export const createChildren = (dataDir: string): Children => {
  const logDir = path.join(dataDir, 'logs')
  mkdirSync(logDir, { recursive: true })
  const running = new Map<Child, ProcessRecord>()
  const closing = new AbortController()
  const logFile = (name: string) => path.join(logDir, `${name}.log`)
  const record = () => writeProcessRecords(dataDir, [...running.values()])

  const start = (spec: ChildSpec): Child => {
    if (closing.signal.aborted) throw stoppingError(spec.name)
    rotate(logFile(spec.name))
    const logOffsetBytes = sizeOf(logFile(spec.name))
    const process = spawnLogged(spec, logFile(spec.name))
    const child = watch(spec, process, logOffsetBytes)
    running.set(child, {
      name: spec.name,
      pid: child.pid,
      identity: processIdentity(child.pid) ?? '',
      stopSignal: stopSignalOf(spec),
    })
    record()
    void child.exited.then(() => {
      running.delete(child)
      record()
    })
    return child
  }

  return {
    start,
    logFile,
    stopping: closing.signal,
    close: () => closing.abort(),
    async run(spec) {
      const child = start(spec)
      const stop = () => void child.stop()
      closing.signal.addEventListener('abort', stop)
      const exit = await child.exited
      closing.signal.removeEventListener('abort', stop)
      if (closing.signal.aborted) throw stoppingError(spec.name)
      if (exit.code !== 0) throw await exitError(child, exit, logFile(spec.name))
    },
    killAll() {
      closing.abort()
      for (const child of running.keys()) signalGroup(child.pid, 'SIGKILL')
    },
    async stopAll() {
      closing.abort()
      await Promise.all([...running.keys()].map((child) => child.stop()))
    },
  }
}

const stoppingError = (name: string) => new UpstreamError('STOPPING', `${name} does not run: stop was asked for`)

/** The error of a child that ended when it should not have, with the lines of its log that say why. */
export const exitError = async (
  { name, logOffsetBytes }: Pick<Child, 'name' | 'logOffsetBytes'>,
  exit: ChildExit,
  logFile: string,
): Promise<UpstreamError> => {
  const how = exit.error?.message ?? (exit.signal ? `killed by ${exit.signal}` : `exit code ${exit.code}`)
  const lines = await tellingLines(logFile, logOffsetBytes)
  return new UpstreamError('CHILD_FAILED', `${name} ended (${how}). ${logFile} says:\n${lines}`, {
    cause: exit.error,
    facts: { name, code: exit.code, signal: exit.signal },
  })
}

/** The last lines of a log, from an offset on, that look like a reason, or just the last lines. Empty when there is no log. */
export const tellingLines = async (logFile: string, fromBytes = 0, count = 6): Promise<string> => {
  const log = await readFile(logFile).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return Buffer.alloc(0)
    throw error
  })
  const lines = log.subarray(fromBytes).toString().trimEnd().split('\n').slice(-200)
  const reasons = lines.filter((line) => /error|fatal|exception|in use|failed|refused|denied/i.test(line))
  return (reasons.length > 0 ? reasons : lines).slice(-count).join('\n')
}

/**
 * Runs a program to its end outside of any group, its output line by line to `onLine`.
 * @throws UpstreamError CHILD_FAILED with the last lines unless it exits with 0; also when `signal` stopped it
 */
export const runToEnd = async (
  command: string,
  args: readonly string[],
  { onLine, signal }: { onLine?: (line: string) => void; signal?: AbortSignal } = {},
): Promise<string> => {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...(signal && { signal }) })
  const exited = exitOf(child)
  const lines: string[] = []
  const collect = async (stream: NodeJS.ReadableStream) => {
    for await (const line of createInterface({ input: stream })) {
      lines.push(line)
      onLine?.(line)
    }
  }
  const [exit] = await Promise.all([exited, collect(child.stdout), collect(child.stderr)])
  if (exit.code === 0) return lines.join('\n')
  const how = exit.error?.message ?? `exit code ${exit.code ?? exit.signal}`
  throw new UpstreamError('CHILD_FAILED', `${command} ended (${how}): ${lines.slice(-15).join('\n')}`, {
    cause: exit.error,
  })
}

const spawnLogged = (spec: ChildSpec, logFile: string): ChildProcess => {
  const log = openSync(logFile, 'a', 0o600)
  try {
    return spawn(spec.command, spec.args, {
      stdio: ['ignore', log, log],
      detached: true,
      cwd: spec.cwd,
      env: spec.env,
      ...spec.user,
    })
  } finally {
    closeSync(log)
  }
}

const stopSignalOf = (spec: ChildSpec): NodeJS.Signals => spec.stopSignal ?? 'SIGTERM'

/** One old log is kept: enough to look back over a restart, never a full disk. */
const rotate = (logFile: string) => {
  if (sizeOf(logFile) > LOG_ROTATE_BYTES) renameSync(logFile, `${logFile}.1`)
}

const sizeOf = (file: string): number => statSync(file, { throwIfNoEntry: false })?.size ?? 0

const exitOf = (process: ChildProcess): Promise<ChildExit> =>
  new Promise((resolve) => {
    process.once('error', (error) => resolve({ code: null, signal: null, error }))
    process.once('exit', (code, signal) => resolve({ code, signal }))
  })

const watch = (spec: ChildSpec, process: ChildProcess, logOffsetBytes: number): Child => {
  const exited = exitOf(process)
  const pid = process.pid
  if (pid === undefined) {
    throw new UpstreamError('CHILD_NOT_STARTED', `${spec.command} cannot be started (${spec.name}): is it installed?`)
  }
  let exit: ChildExit | undefined
  const gone = exited.then((how) => {
    exit = how
    // What the child left in its session would otherwise live on: a killed worker's ffmpeg.
    signalGroup(pid, 'SIGKILL')
    return how
  })
  const stop = async (): Promise<ChildExit> => {
    if (exit) return exit
    process.kill(stopSignalOf(spec))
    const timer = setTimeout(() => signalGroup(pid, 'SIGKILL'), spec.stopTimeoutMs ?? STOP_TIMEOUT_MS)
    return gone.finally(() => clearTimeout(timer))
  }
  return { name: spec.name, pid, logOffsetBytes, exited: gone, isRunning: () => exit === undefined, stop }
}
