import { UploadError } from './errors.ts'

/**
 * Runs `work` and ends it when nothing has happened for `withinMs`: it is given a signal that aborts then, and a way to
 * say that something has happened. A connection that is dead without having been closed would hold its part for ever.
 * The outer signal aborts it, too. Rejects as `work` does.
 */
export const withPatience = async <T>(
  withinMs: number,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal, happened: () => void) => Promise<T>,
): Promise<T> => {
  const silence = new AbortController()
  const giveUp = () => silence.abort(new UploadError('CONNECTION_FAILED', 'The server fell silent.'))
  let timer: ReturnType<typeof setTimeout> | null = setTimeout(giveUp, withinMs)
  const happened = (): void => {
    // What is told after the end (a stream is pulled once more) must not hold the process for another while.
    if (timer === null) return
    clearTimeout(timer)
    timer = setTimeout(giveUp, withinMs)
  }
  try {
    return await work(signal === undefined ? silence.signal : AbortSignal.any([signal, silence.signal]), happened)
  } finally {
    if (timer !== null) clearTimeout(timer)
    timer = null
  }
}
