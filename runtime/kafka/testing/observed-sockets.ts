import { connect, type Socket } from 'node:net'
import type { ISocketFactory } from 'kafkajs'

/**
 * For tests: connections that count the requests by api key (Kafka protocol guide) and can lose one response. The request
 * arrives and is carried out; its answer does not come, and the connection breaks. That is what a broker killed at the
 * worst moment looks like.
 */
export interface ObservedSockets {
  readonly socketFactory: ISocketFactory
  /** Requests with this api key so far. */
  sent(apiKey: number): number
  /** Resolves while the next request with this api key is on its way, before it can have been answered. */
  whenSent(apiKey: number): Promise<void>
  /** The next response to a request with this api key is lost. */
  loseNextResponseTo(apiKey: number): void
  /** Responses lost so far. */
  lost(): number
  /** Every connection breaks and no new one is made, until `heal`. */
  cut(): void
  /** Attempts to connect while cut. */
  refused(): number
  heal(): void
}

export const API_KEYS = { produce: 0, fetch: 1, joinGroup: 11, heartbeat: 12, endTxn: 26 } as const

const NOBODY_LISTENS = 1
const API_KEY_AT = 4
const REQUEST_CORRELATION_AT = 8
const RESPONSE_CORRELATION_AT = 4

export const observedSockets = (): ObservedSockets => {
  let unwanted: number | undefined
  let lost = 0
  let isCut = false
  let refused = 0
  const open = new Map<Socket, () => void>()
  const sent = new Map<number, number>()
  const expected = new Map<number, () => void>()
  return {
    sent: (apiKey) => sent.get(apiKey) ?? 0,
    whenSent: (apiKey) => new Promise((resolve) => expected.set(apiKey, resolve)),
    loseNextResponseTo: (apiKey) => {
      unwanted = apiKey
    },
    lost: () => lost,
    cut: () => {
      isCut = true
      for (const hangUp of open.values()) hangUp()
    },
    refused: () => refused,
    heal: () => {
      isCut = false
    },
    socketFactory: ({ host, port, onConnect }) => {
      if (isCut) refused += 1
      const socket = connect(isCut ? NOBODY_LISTENS : port, host, onConnect)
      socket.once('close', () => open.delete(socket))
      const apiOf = new Map<number, number>()
      const write = socket.write.bind(socket)
      socket.write = ((request: Buffer, ...rest: []) => {
        const apiKey = request.readInt16BE(API_KEY_AT)
        apiOf.set(request.readInt32BE(REQUEST_CORRELATION_AT), apiKey)
        sent.set(apiKey, (sent.get(apiKey) ?? 0) + 1)
        expected.get(apiKey)?.()
        return write(request, ...rest)
      }) as Socket['write']
      const emit = socket.emit.bind(socket)
      const hangUp = (): void => {
        emit('end') // what a client sees of a process that was killed
        socket.destroy()
      }
      open.set(socket, hangUp)
      socket.emit = ((event: string, ...args: unknown[]) => {
        const [response] = args
        if (event === 'data' && Buffer.isBuffer(response) && response.length >= 8) {
          const api = apiOf.get(response.readInt32BE(RESPONSE_CORRELATION_AT))
          if (api !== undefined && api === unwanted) {
            unwanted = undefined
            lost += 1
            hangUp()
            return true
          }
        }
        return emit(event, ...(args as []))
      }) as Socket['emit']
      return socket
    },
  }
}
