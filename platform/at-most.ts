import type { Scheduler } from './clock.ts'

/** Waits for the work, but no longer than that; what becomes of it later concerns nobody. False: it was not done in time. */
export const atMost = async (clock: Scheduler, ms: number, work: Promise<unknown>): Promise<boolean> => {
  let cancel = (): void => undefined
  const deadline = new Promise<false>((resolve) => {
    cancel = clock.after(ms, () => resolve(false))
  })
  try {
    return await Promise.race([work.then(() => true), deadline])
  } finally {
    cancel()
  }
}
