import { parentPort } from 'node:worker_threads'

/** The other side of apart.ts. */
export interface Asked {
  readonly id: number
  readonly url: string
  readonly method: string
  readonly headers: [string, string][]
  readonly body: string | null
}

export type Answered =
  | { readonly id: number; readonly failure: string }
  | {
      readonly id: number
      readonly status: number
      readonly headers: [string, string][]
      readonly body: string
      /** Until the whole answer was there. */
      readonly durationMs: number
    }

const answered = async ({ id, url, method, headers, body }: Asked): Promise<Answered> => {
  const startedMs = performance.now()
  try {
    const answer = await fetch(url, { method, headers, ...(body === null ? {} : { body }) })
    const text = await answer.text()
    const durationMs = performance.now() - startedMs
    return { id, status: answer.status, headers: [...answer.headers], body: text, durationMs }
  } catch (error) {
    return { id, failure: String(error) }
  }
}

parentPort?.on('message', async (asked: Asked) => parentPort?.postMessage(await answered(asked)))
