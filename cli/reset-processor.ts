import { setTimeout as sleep } from 'node:timers/promises'
import { ReelstreamError } from '../platform/errors.ts'

/** How often it is tried, ms: a process that its supervisor starts again takes a second to join its groups. */
const TRY_MS = 200

export interface ResetTools {
  /** Throws BadInputError PROCESSOR_RUNNING while a process runs it, and UpstreamError FENCED when one comes meanwhile. */
  reset(): Promise<number>
  /** Asks processes that run it to end, where that is in our power; called for as long as some are there. */
  stopProcesses(): Promise<void>
  /** Told once that it is waited. */
  say(line: string): void
  /** Ends the waiting with an error. */
  readonly signal: AbortSignal
}

/** Resets a processor in the moment in which nobody runs it. Resolves to the number of entries that were dropped. */
export const resetWhenStopped = async ({ reset, stopProcesses, say, signal }: ResetTools): Promise<number> => {
  for (let isTold = false; ; isTold = true) {
    signal.throwIfAborted()
    try {
      return await reset()
    } catch (error) {
      if (!isRunning(error)) throw error
      if (!isTold) say(error.message)
    }
    await stopProcesses()
    await sleep(TRY_MS, undefined, { signal })
  }
}

const isRunning = (error: unknown): error is ReelstreamError =>
  error instanceof ReelstreamError && (error.code === 'PROCESSOR_RUNNING' || error.code === 'FENCED')
