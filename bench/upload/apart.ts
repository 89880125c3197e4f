import { Worker } from 'node:worker_threads'
import type { Answered, Asked } from './apart-thread.ts'

export interface Timed {
  readonly method: string
  readonly path: string
  /** Null: there was no answer, the connection failed or the client stopped waiting. */
  readonly status: number | null
  /** As the thread that only asks saw it: the server, the kernel, and its share of the processor. */
  readonly durationMs: number
  /** As the thread saw it that sends parts, too. */
  readonly seenMs: number
}

/**
 * `fetch` on a thread of its own. A process that plays hundreds of clients copies and hashes gigabytes on its own thread,
 * and looks at an answer seconds after it came, which no client would that is alone on its machine.
 * @param onCall told of every call, answered or not
 */
export const fetchApart = (onCall: (call: Timed) => void) => {
  const thread = new Worker(new URL('apart-thread.ts', import.meta.url))
  const waiting = new Map<number, PromiseWithResolvers<Answered>>()
  let asked = 0
  thread.on('message', (answered: Answered) => waiting.get(answered.id)?.resolve(answered))
  thread.on('error', (error) => {
    for (const { reject } of waiting.values()) reject(error)
  })
  const ask: typeof fetch = async (url, { method = 'GET', headers, body, signal } = {}) => {
    const startedMs = performance.now()
    asked += 1
    const message: Asked = {
      ...{ id: asked, url: String(url), method },
      headers: [...new Headers(headers)],
      body: typeof body === 'string' ? body : null,
    }
    const answer = Promise.withResolvers<Answered>()
    waiting.set(message.id, answer)
    const abort = () => answer.reject(signal?.reason)
    const told = (status: number | null, answeredMs?: number): void => {
      const seenMs = performance.now() - startedMs
      onCall({ method, path: new URL(message.url).pathname, status, durationMs: answeredMs ?? seenMs, seenMs })
    }
    signal?.addEventListener('abort', abort, { once: true })
    try {
      thread.postMessage(message)
      const answered = await answer.promise
      if ('failure' in answered) throw new TypeError(answered.failure)
      const { status, durationMs } = answered
      told(status, durationMs)
      return new Response(answered.body === '' ? null : answered.body, { status, headers: answered.headers })
    } catch (error) {
      told(null)
      throw error
    } finally {
      waiting.delete(message.id)
      signal?.removeEventListener('abort', abort)
    }
  }
  return { fetch: ask, close: () => thread.terminate() }
}
