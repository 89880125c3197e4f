import type { StoredPart } from './send-part.ts'

/**
 * Reports stored parts, each at once, apart from the last one: without it the server completes nothing, so it waits until
 * nothing is left to send and the check has passed.
 */
export interface PartReports {
  /** A part will be sent. */
  begun(): void
  /** Resolves when the server was told of it; rejects with what the report or the check threw. */
  stored(part: StoredPart): Promise<void>
  /** One of those that were begun will not be reported: somebody else has. */
  dropped(): void
  /** Nothing is left that could begin. */
  ended(): void
  /** After all of it: passes the check where no report had to, for somebody else's was the last. */
  finished(): Promise<void>
}

/** @param check null = no part has to wait */
export const createPartReports = (
  report: (part: StoredPart) => Promise<void>,
  check: (() => Promise<void>) | null,
): PartReports => {
  if (check === null) {
    return { begun: () => {}, stored: report, dropped: () => {}, ended: () => {}, finished: async () => {} }
  }
  let unreported = 0
  let hasEnded = false
  let needsCheck = false
  // One at most: it is released as soon as another part is on its way, which may then be the last.
  let held: PromiseWithResolvers<void> | null = null

  const release = (): void => {
    if (held === null || (unreported === 1 && !hasEnded)) return
    const isLast = unreported === 1
    if (isLast) needsCheck = false
    held.resolve(isLast ? check() : undefined)
    held = null
    unreported -= 1
  }

  return {
    begun() {
      needsCheck = true
      unreported += 1
      release()
    },
    async stored(part) {
      held = Promise.withResolvers()
      const { promise } = held
      release()
      await promise
      await report(part)
    },
    dropped() {
      unreported -= 1
      release()
    },
    ended() {
      hasEnded = true
      release()
    },
    async finished() {
      if (needsCheck) await check()
    },
  }
}
