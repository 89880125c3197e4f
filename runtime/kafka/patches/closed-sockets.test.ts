import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import t from 'tap'
import { closedSockets } from './closed-sockets.ts'
import { freshKafkajs, quietLogger } from './fresh-kafkajs.ts'
import type { KafkajsPatch } from './modules.ts'

interface Connection {
  connect(): Promise<unknown>
  disconnect(): Promise<unknown>
}

/** Listeners on a socket that its broker has closed, after its connection was told three times to disconnect. */
const listenersAfter = async (patches: readonly KafkajsPatch[]): Promise<number> => {
  const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const closed = Promise.withResolvers<Socket>()
  const Connection = freshKafkajs(patches).load<new (options: object) => Connection>('network/connection.js')
  const connection = new Connection({
    host: '127.0.0.1',
    port,
    logger: quietLogger,
    requestTimeout: 1000,
    connectionTimeout: 1000,
    socketFactory: ({ onConnect }: { onConnect: () => void }) => {
      const socket = connect(port, '127.0.0.1', onConnect)
      socket.once('close', () => closed.resolve(socket))
      return socket
    },
  })
  await connection.connect()
  const socket = await closed.promise
  for (let n = 0; n < 3; n++) await connection.disconnect()
  server.close()
  return socket.listenerCount('connect')
}

t.test('disconnecting what is closed leaves nothing behind', async (t) => {
  const patched = await listenersAfter([closedSockets])
  t.equal((await listenersAfter([])) - patched, 3, 'stock leaves one listener each time: the patch is still needed')
})
