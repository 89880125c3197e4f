/** Does one thing after the other. */
export interface Worker {
  /** Does the next thing; false when there is none left. */
  step(): Promise<boolean>
  /** What it has still under way. */
  finish(): Promise<void>
}

/**
 * Lets as many workers step side by side as `limit` (1 or more) says at the moment: more are begun when it has grown,
 * some leave when it has shrunk. Resolves when nothing is left and every worker has finished. Rejects with the first
 * failure; the others take nothing more, and what they have under way is the caller's to end.
 */
export const withWorkers = (limit: () => number, createWorker: () => Worker): Promise<void> =>
  new Promise((resolve, reject) => {
    let stepping = 0
    let unfinished = 0
    let isOver = false

    const grow = (): void => {
      while (!isOver && stepping < limit()) {
        stepping += 1
        unfinished += 1
        void run()
      }
    }

    const run = async (): Promise<void> => {
      try {
        const worker = createWorker()
        while (!isOver && stepping <= limit()) {
          if (!(await worker.step())) isOver = true
          grow()
        }
        // At once, not when it has finished: or two that leave together would both think that the other stays.
        stepping -= 1
        await worker.finish()
      } catch (error) {
        isOver = true
        reject(error)
      }
      unfinished -= 1
      if (unfinished === 0) resolve()
    }

    grow()
  })
