/**
 * Turns many calls with one item each into few calls with many: what is asked for while a call is under way goes into
 * the next one, up to `max` items. An idle batcher calls at once, so nobody waits for company. Results come in the
 * order of the items; a call that fails fails all of its items.
 */
export const batching = <Item, Result>(
  call: (items: readonly Item[]) => Promise<readonly Result[]>,
  max: number,
): ((item: Item) => Promise<Result>) => {
  const waiting: { item: Item; resolve: (result: Result) => void; reject: (error: unknown) => void }[] = []
  let running = false

  const run = async (): Promise<void> => {
    running = true
    while (waiting.length > 0) {
      const batch = waiting.splice(0, max)
      try {
        const results = await call(batch.map(({ item }) => item))
        batch.forEach(({ resolve }, i) => {
          resolve(results[i] as Result)
        })
      } catch (error) {
        for (const { reject } of batch) reject(error)
      }
    }
    running = false
  }

  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject })
      if (!running) void run()
    })
}
