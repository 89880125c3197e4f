/**
 * Hears of every batch that a projection commits (NOTIFY), over a connection of its own.
 *
 * A notice only wakes: whoever waits reads the tables again, so a lost notice costs time and never truth. The driver
 * does not reconnect by itself; this does, and says `flush` then, for nobody knows what was missed meanwhile.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from 'pg'
import type { Logger } from '../../platform/log.ts'

/** `from` and `to` are offsets of video-events in `partition`; `flush` = anything may have changed. */
export type PositionNotice =
  | { readonly projection: string; readonly partition: number; readonly from: number; readonly to: number }
  | { readonly flush: string }

export interface PositionListener {
  /** Whether notices arrive at the moment. */
  isListening(): boolean
  /** Calls back for each notice until the returned function is called. */
  subscribe(onNotice: (notice: PositionNotice) => void): () => void
  /** How many notices came so far. Read it BEFORE the tables and hand it to `next`: none is missed in between. */
  heard(): number
  /** Resolves as soon as more than `heard` notices came, after `timeoutMs`, or when the signal aborts. */
  next(heard: number, timeoutMs: number, signal?: AbortSignal): Promise<void>
  close(): Promise<void>
}

const CHANNEL = 'reelstream_positions'
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 2_000

export interface ListenerOptions {
  /** A new client, not connected yet. */
  createClient(): Client
  readonly log: Logger
}

export const startPositionListener = ({ createClient, log }: ListenerOptions): PositionListener => {
  const subscribers = new Set<(notice: PositionNotice) => void>()
  const closing = new AbortController()
  let listening = false
  let heard = 0
  const tell = (notice: PositionNotice) => {
    heard += 1
    for (const subscriber of subscribers) subscriber(notice)
  }

  const run = async () => {
    for (let pauseMs = FIRST_PAUSE_MS; !closing.signal.aborted; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      try {
        await listen(createClient(), closing.signal, tell, () => {
          listening = true
          pauseMs = FIRST_PAUSE_MS
          tell({ flush: 'connected' })
        })
      } catch (err) {
        log.warn({ err }, 'position listener lost its connection')
      }
      listening = false
      await sleep(pauseMs, undefined, { signal: closing.signal }).catch(() => undefined)
    }
  }
  const running = run()

  const subscribe: PositionListener['subscribe'] = (onNotice) => {
    subscribers.add(onNotice)
    return () => subscribers.delete(onNotice)
  }
  return {
    isListening: () => listening,
    subscribe,
    heard: () => heard,
    async next(seen, timeoutMs, signal) {
      if (heard > seen) return
      const { promise, resolve } = Promise.withResolvers<void>()
      const timer = setTimeout(resolve, timeoutMs)
      const unsubscribe = subscribe(() => resolve())
      const onAbort = () => resolve()
      signal?.addEventListener('abort', onAbort, { once: true })
      if (signal?.aborted) resolve()
      await promise
      clearTimeout(timer)
      unsubscribe()
      signal?.removeEventListener('abort', onAbort)
    },
    async close() {
      closing.abort()
      await running
    },
  }
}

/** Resolves when the signal aborts, throws when the connection ends before. */
const listen = async (
  client: Client,
  signal: AbortSignal,
  tell: (notice: PositionNotice) => void,
  onListening: () => void,
): Promise<void> => {
  const { promise: over, resolve, reject } = Promise.withResolvers<void>()
  // A server that goes away says `error`, or only `end`; without a listener the first would end the process.
  client.on('error', reject)
  client.on('end', () => reject(new Error('the server ended the connection')))
  client.on('notification', ({ payload }) => tell(noticeOf(payload)))
  const onAbort = () => resolve()
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    await Promise.race([client.connect().then(() => client.query(`LISTEN ${CHANNEL}`)), over])
    if (!signal.aborted) onListening()
    await over
  } finally {
    signal.removeEventListener('abort', onAbort)
    over.catch(() => undefined)
    await client.end().catch(() => undefined)
  }
}

const noticeOf = (payload: string | undefined): PositionNotice => {
  try {
    return JSON.parse(payload ?? '') as PositionNotice
  } catch {
    return { flush: 'unreadable notice' }
  }
}
