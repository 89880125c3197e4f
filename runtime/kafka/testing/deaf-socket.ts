import type { connect as connectTo, Socket } from 'node:net'
import type { ISocketFactory } from 'kafkajs'

/**
 * For tests: connections that can lose one response. The request arrives and is carried out; its answer does not come,
 * and the connection breaks. That is what a broker killed at the worst moment looks like.
 */
export interface DeafSockets {
  readonly socketFactory: ISocketFactory
  /** The next response to a request with this api key (Kafka protocol guide) is lost. */
  loseNextResponseTo(apiKey: number): void
  /** Responses lost so far. */
  lost(): number
}

const API_KEY_AT = 4
const REQUEST_CORRELATION_AT = 8
const RESPONSE_CORRELATION_AT = 4

export const deafSocketFactory = (connect: typeof connectTo): DeafSockets => {
  let unwanted: number | undefined
  let lost = 0
  return {
    loseNextResponseTo: (apiKey) => {
      unwanted = apiKey
    },
    lost: () => lost,
    socketFactory: ({ host, port, onConnect }) => {
      const socket = connect(port, host, onConnect)
      const apiOf = new Map<number, number>()
      const write = socket.write.bind(socket)
      socket.write = ((request: Buffer, ...rest: []) => {
        apiOf.set(request.readInt32BE(REQUEST_CORRELATION_AT), request.readInt16BE(API_KEY_AT))
        return write(request, ...rest)
      }) as Socket['write']
      const emit = socket.emit.bind(socket)
      socket.emit = ((event: string, ...args: unknown[]) => {
        const [response] = args
        if (event === 'data' && Buffer.isBuffer(response) && response.length >= 8) {
          const api = apiOf.get(response.readInt32BE(RESPONSE_CORRELATION_AT))
          if (api !== undefined && api === unwanted) {
            unwanted = undefined
            lost += 1
            emit('end')
            socket.destroy()
            return true
          }
        }
        return emit(event, ...(args as []))
      }) as Socket['emit']
      return socket
    },
  }
}
