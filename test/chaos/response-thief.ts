import { connect, createServer, type Socket } from 'node:net'
import type { KafkaCluster } from '../../local/kafka-cluster.ts'

/**
 * A TCP proxy in front of one broker that now and then steals a response: the request arrives and is carried out, its
 * answer never comes. That is what a client sees of a broker that dies at the worst moment, or of a network that does.
 *
 * Frames are told apart as the protocol has it (https://kafka.apache.org/protocol#protocol_messages): each is preceded by
 * its size; a request begins with its api key, version and correlation id, its response with the same correlation id.
 */
interface ResponseThief {
  /** From now on each response to one of these requests is stolen with this probability, 0 … 1. */
  steal(probability: number): void
  /** The api of each response stolen so far. */
  readonly stolen: readonly string[]
  close(): Promise<void>
}

/** One for each broker of a cluster. */
export interface ResponseThieves {
  /** The thief's port by the broker's. */
  readonly detours: Readonly<Record<string, number>>
  steal(probability: number): void
  /** Responses stolen so far. */
  total(): number
  /** The same by api, in words. */
  summary(): string
  close(): Promise<void>
}

/** After the ports of the broker and its controller, see stage.ts. */
const THIEF_OFFSET = 2

export const startThieves = async ({ brokers }: Pick<KafkaCluster, 'brokers'>): Promise<ResponseThieves> => {
  const thieves = await Promise.all(brokers.map(({ port }) => startThief(port + THIEF_OFFSET, port)))
  return {
    detours: Object.fromEntries(brokers.map(({ port }) => [port, port + THIEF_OFFSET])),
    steal: (probability) => {
      for (const thief of thieves) thief.steal(probability)
    },
    total: () => thieves.flatMap(({ stolen }) => stolen).length,
    summary: () => {
      const byApi = Map.groupBy(
        thieves.flatMap(({ stolen }) => stolen),
        (api) => api,
      )
      return [...byApi].map(([api, all]) => `${all.length} ${api}`).join(', ') || 'none'
    },
    close: async () => {
      await Promise.all(thieves.map((thief) => thief.close()))
    },
  }
}

/** What a transaction is made of, by api key. */
const WANTED = new Map([
  [0, 'Produce'],
  [22, 'InitProducerId'],
  [24, 'AddPartitionsToTxn'],
  [26, 'EndTxn'],
])
const SIZE_BYTES = 4
const REQUEST_CORRELATION_AT = SIZE_BYTES + 4
const REQUEST_API_AT = SIZE_BYTES

/** Listens on `port` and passes everything on to `brokerPort`, both of this machine. */
const startThief = async (port: number, brokerPort: number): Promise<ResponseThief> => {
  const stolen: string[] = []
  const connections = new Set<Socket>()
  let probability = 0

  const isStolen = (api: string | undefined): boolean => {
    if (api === undefined || Math.random() >= probability) return false
    stolen.push(api)
    return true
  }
  const server = createServer((client) => {
    const broker = connect(brokerPort, '127.0.0.1')
    const awaited = new Map<number, string | undefined>()
    const hangUp = () => {
      client.destroy()
      broker.destroy()
    }
    for (const socket of [client, broker]) {
      connections.add(socket.setNoDelay(true))
      socket.on('error', hangUp).on('close', () => {
        connections.delete(socket)
        hangUp()
      })
    }
    onFrames(client, (request) => {
      awaited.set(request.readInt32BE(REQUEST_CORRELATION_AT), WANTED.get(request.readInt16BE(REQUEST_API_AT)))
      broker.write(request)
    })
    onFrames(broker, (response) => {
      const correlation = response.readInt32BE(SIZE_BYTES)
      const api = awaited.get(correlation)
      awaited.delete(correlation)
      if (!isStolen(api)) client.write(response)
      // Half of the time the connection breaks with it, half of the time there is silence and the client must time out.
      else if (Math.random() < 0.5) hangUp()
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, '127.0.0.1', resolve)
  })
  return {
    stolen,
    steal: (wanted) => {
      probability = wanted
    },
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const socket of connections) socket.destroy()
      await closed
    },
  }
}

const onFrames = (socket: Socket, take: (frame: Buffer) => void): void => {
  let held: Buffer = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
    while (held.length >= SIZE_BYTES) {
      const end = SIZE_BYTES + held.readInt32BE(0)
      if (held.length < end) return
      take(held.subarray(0, end))
      held = held.subarray(end)
    }
  })
}
