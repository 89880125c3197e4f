import { mock } from 'node:test'
import t, { type Test } from 'tap'
import type { ApiContext } from '../context.ts'
import { liveEvents } from './live-events.ts'

const SECOND_MS = 1000

/** A video of which nothing is told, on a server where something of another one is recorded every second. */
const quietVideo = (t: Test, { notices }: { readonly notices: boolean }) => {
  let nowMs = 5_000
  let heard = 0
  let waits = 0
  const now = mock.method(performance, 'now', () => nowMs)
  t.teardown(() => now.mock.restore())
  const positions = {
    isListening: () => true,
    heard: () => heard,
    async next(_seen: number, timeoutMs: number) {
      waits += 1
      if (waits > 100) throw new Error(`nothing was said for ${nowMs} ms`)
      nowMs += notices ? Math.min(timeoutMs, SECOND_MS) : timeoutMs
      if (notices) heard += 1
    },
  }
  const db = { $queryRaw: async () => [] }
  return { context: { db, positions } as unknown as ApiContext, passedMs: () => nowMs - 5_000 }
}

for (const notices of [false, true]) {
  t.test(`a stream shows that it lives ${notices ? 'while others have news' : 'while nobody has news'}`, async (t) => {
    const { context, passedMs } = quietVideo(t, { notices })
    const events = liveEvents(context, 'quiet', -1n, new AbortController().signal)
    t.same(await events.next(), { value: null, done: false })
    t.equal(passedMs(), 10 * SECOND_MS)
    t.same(await events.next(), { value: null, done: false })
    t.equal(passedMs(), 20 * SECOND_MS)
  })
}
