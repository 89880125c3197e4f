import { setTimeout as delay } from 'node:timers/promises'
import { describeError, UpstreamError } from '../platform/errors.ts'
import { type Child, type Children, type ChildSpec, exitError } from './child.ts'

/**
 * Keeps one process running: start it, wait until it is healthy, and when it dies start it again with growing pauses.
 *
 * The first start is different from all later ones: when it fails, the caller is told and decides (the whole product
 * does not start). A process that dies later is restarted for as long as it takes, because by then work may be under
 * way elsewhere that only waits for it. Nothing polls while the process runs; its exit wakes us.
 */
export interface Managed {
  readonly name: string
  /** Made anew for each start: flags may depend on what the last run left (jvm.ts). */
  spec(): ChildSpec
  /** One probe; resolves to false for "not yet". */
  isHealthy(): Promise<boolean>
  /** Called when it ended after we asked it to. */
  afterStop?(): Promise<void>
  /** True for a failure of the first start that goes away by itself. */
  isPassing?(error: UpstreamError): boolean
}

export interface Supervised {
  readonly name: string
  /** of the present process; changes with each restart */
  pid(): number
  /** Stops the process, and restarting. */
  stop(): Promise<void>
}

export interface SuperviseOptions {
  readonly children: Children
  readonly readyTimeoutMs: number
  /** default true */
  readonly restart?: boolean
  /** told about deaths and restarts, one line each */
  readonly report: (line: string) => void
  /** called when a restarted process is healthy and pid() is its pid */
  readonly onRestart?: () => void
}

const FIRST_PAUSE_MS = 250
const LONGEST_PAUSE_MS = 10_000
/** A process that ran this long has recovered: its next death starts with the short pause again. */
const RECOVERED_MS = 60_000
const PROBE_EVERY_MS = 25

/** Resolves when the process is healthy for the first time. @throws UpstreamError CHILD_FAILED, NOT_READY, STOPPING */
export const supervise = async (managed: Managed, options: SuperviseOptions): Promise<Supervised> => {
  const stopped = new AbortController()
  let child = await firstStart(managed, options)
  const keepRunning = async () => {
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      const startedAtMs = Date.now()
      const exit = await child.exited
      if (stopped.signal.aborted || options.children.stopping.aborted) return
      if (Date.now() - startedAtMs > RECOVERED_MS) pauseMs = FIRST_PAUSE_MS
      const how = exit.signal ? `killed by ${exit.signal}` : `exit code ${exit.code}`
      options.report(`${managed.name} died (${how}), starting it again in ${pauseMs / 1000} s`)
      const next = await restart(managed, options, pauseMs, stopped.signal)
      if (!next) return
      child = next
      if (stopped.signal.aborted) return
      options.onRestart?.()
    }
  }
  const loop = options.restart === false ? Promise.resolve() : keepRunning()
  return {
    name: managed.name,
    pid: () => child.pid,
    async stop() {
      stopped.abort()
      await child.stop()
      await loop
      await child.stop()
      await managed.afterStop?.()
    },
  }
}

const firstStart = async (managed: Managed, options: SuperviseOptions): Promise<Child> => {
  const end = Date.now() + options.readyTimeoutMs
  for (;;) {
    try {
      const child = options.children.start(managed.spec())
      await untilHealthy(managed, child, options, options.children.stopping)
      return child
    } catch (error) {
      const passing = error instanceof UpstreamError && managed.isPassing?.(error) === true
      if (!passing || Date.now() > end) throw error
      await delay(FIRST_PAUSE_MS)
    }
  }
}

/** One process that runs again, or undefined when stop was asked for meanwhile. */
const restart = async (
  managed: Managed,
  options: SuperviseOptions,
  firstPauseMs: number,
  stopped: AbortSignal,
): Promise<Child | undefined> => {
  const over = AbortSignal.any([stopped, options.children.stopping])
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    await pauseUnless(over, pauseMs)
    if (over.aborted) return undefined
    let child: Child | undefined
    try {
      child = options.children.start(managed.spec())
      await untilHealthy(managed, child, options, over)
      options.report(`${managed.name} runs again (pid ${child.pid})`)
      return child
    } catch (error) {
      await child?.stop()
      if (over.aborted) return undefined
      options.report(`${managed.name} could not be restarted, next try in ${pauseMs / 1000} s. ${describeError(error)}`)
    }
  }
}

const untilHealthy = async (
  managed: Managed,
  child: Child,
  { children, readyTimeoutMs }: SuperviseOptions,
  over: AbortSignal,
) => {
  const end = Date.now() + readyTimeoutMs
  while (!(await managed.isHealthy())) {
    if (over.aborted) throw new UpstreamError('STOPPING', `${managed.name} was stopped while it started`)
    if (!child.isRunning()) throw await exitError(child, await child.exited, children.logFile(managed.name))
    if (Date.now() > end) {
      throw new UpstreamError('NOT_READY', `${managed.name} did not answer within ${readyTimeoutMs / 1000} s`)
    }
    await delay(PROBE_EVERY_MS)
  }
  // Something else may have answered on the port while our own process was failing.
  if (!child.isRunning()) throw await exitError(child, await child.exited, children.logFile(managed.name))
}

const pauseUnless = async (signal: AbortSignal, pauseMs: number) => {
  try {
    await delay(pauseMs, undefined, { signal })
  } catch (error) {
    if (!signal.aborted) throw error
  }
}
