import { onStopSignal } from '../local/stop-signal.ts'
import { EXIT } from './exit.ts'

/** A signal that Ctrl-C aborts; the second one ends the process at once. */
export const stopSignal = (): AbortSignal => {
  const stop = new AbortController()
  void onStopSignal({ first: () => stop.abort(), again: () => process.exit(EXIT.interrupted) })
  return stop.signal
}

/** Does work that Ctrl-C ends: then it says the sentence, sets the exit code, and resolves to null. */
export const interruptible = async <T>(
  work: (signal: AbortSignal) => Promise<T>,
  sentence: string,
): Promise<T | null> => {
  const signal = stopSignal()
  try {
    return await work(signal)
  } catch (error) {
    if (!signal.aborted) throw error
    console.error(sentence)
    process.exitCode = EXIT.interrupted
    return null
  }
}
