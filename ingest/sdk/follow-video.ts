import { Outage } from './outage.ts'
import { withPatience } from './patience.ts'
import { failureOf, send, serverAt } from './requests.ts'
import { pause, Retryable, retrying } from './retry.ts'
import { parseServerSentEvents, type ServerSentEvent } from './server-sent-events.ts'
import type { TokenSource } from './types.ts'

/** One event of a video's history as the API streams it. */
export type VideoEvent = ServerSentEvent

export interface FollowOptions {
  /** Base URL of the API. */
  readonly apiUrl: string
  readonly token?: TokenSource | undefined
  /** Ends the following: there is no other end. */
  readonly signal: AbortSignal
  /** Only events after this one. */
  readonly lastEventId?: string | undefined
  /**
   * For how long to go on trying while nobody answers, ms. Default 0: 12 attempts, about a minute and a half. While a
   * browser knows that it is offline it goes on all the same.
   */
  readonly giveUpAfterMs?: number | undefined
  /** True: nobody answers, and it goes on by itself as soon as somebody does. False: somebody does. */
  readonly onWaiting?: ((isWaiting: boolean) => void) | undefined
  readonly fetch?: typeof fetch | undefined
}

/** Between two connections; a server that ends a stream has its reasons, and is not to be hammered. */
const RECONNECT_MS = 500

/**
 * Three times what the API lets pass without a sign of life (SIGN_OF_LIFE_MS in api/reading/live-events.ts). A connection
 * that died without being closed, behind a sleeping laptop or a NAT that forgot it, says nothing for ever.
 */
const SILENCE_MS = 30_000

/**
 * Calls `onEvent` for every event of the video, from its first one on, in order, each once: after a cut, or half a minute
 * without even a sign of life, it connects again and goes on behind the last event seen. Works where EventSource does
 * not: in Node, and with a token.
 * Resolves when the signal aborts.
 * @throws UploadError when the API refuses (unknown video, no right) or stays away
 */
export const followVideo = async (
  videoId: string,
  onEvent: (event: VideoEvent) => void,
  options: FollowOptions,
): Promise<void> => {
  const { apiUrl, signal, giveUpAfterMs = 0, onWaiting } = options
  const outage = new Outage(giveUpAfterMs, onWaiting)
  const server = serverAt(apiUrl, options)
  let lastEventId = options.lastEventId ?? ''
  const connect = async (): Promise<ReadableStream<Uint8Array> | null> => {
    const headers = { accept: 'text/event-stream', ...(lastEventId === '' ? {} : { 'last-event-id': lastEventId }) }
    const path = `/videos/${encodeURIComponent(videoId)}/events`
    return withPatience(SILENCE_MS, signal, async (patient) => {
      const answer = await send(server, path, { headers, signal: patient }, signal)
      if (!answer.ok) throw await failureOf(answer)
      return answer.body
    })
  }
  try {
    while (!signal.aborted) {
      const body = await retrying(connect, signal, outage)
      if (body !== null) {
        const onEach = (event: VideoEvent): void => {
          // One piece may hold several events, and the first may be the one that somebody waited for.
          if (signal.aborted) return
          if (event.id !== '') lastEventId = event.id
          onEvent(event)
        }
        await reading(body, onEach, signal)
      }
      await pause(RECONNECT_MS, signal)
    }
  } catch (error) {
    if (!signal.aborted) throw error instanceof Retryable ? error.reason : error
  }
}

/** Until the stream ends, falls silent, or the signal aborts. */
const reading = (
  body: ReadableStream<Uint8Array>,
  onEvent: (event: VideoEvent) => void,
  signal: AbortSignal,
): Promise<void> =>
  withPatience(SILENCE_MS, signal, async (patient, happened) => {
    const parser = parseServerSentEvents(onEvent)
    const decoder = new TextDecoder()
    const reader = body.getReader()
    patient.addEventListener('abort', () => void reader.cancel().catch(() => undefined))
    for (;;) {
      // A cut is an end like any other: the caller connects again.
      const { done, value } = await reader.read().catch(() => ({ done: true as const, value: undefined }))
      if (done) return
      happened()
      parser(decoder.decode(value, { stream: true }))
    }
  })
