import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { freshKafkajs, quietLogger } from './fresh-kafkajs.ts'
import type { KafkajsPatch } from './modules.ts'
import { singleConnect } from './single-connect.ts'

interface ConnectionPool {
  getConnection(index: number): Promise<unknown>
  destroy(): Promise<void>
}

/** Sockets that a pool opens for three requests which find their connection closed in the same moment. */
const socketsFor = async (t: Test, patches: readonly KafkajsPatch[]): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const opened: Socket[] = []
  const Pool = freshKafkajs(patches).load<new (options: object) => ConnectionPool>('network/connectionPool.js')
  const pool = new Pool({
    host: '127.0.0.1',
    port,
    logger: quietLogger,
    requestTimeout: 1000,
    connectionTimeout: 1000,
    socketFactory: ({ onConnect }: { onConnect: () => void }) => {
      const socket = connect(port, '127.0.0.1', onConnect)
      opened.push(socket)
      return socket
    },
  })
  await Promise.all([pool.getConnection(1), pool.getConnection(1), pool.getConnection(1)])
  const count = opened.length
  await pool.destroy()
  for (const socket of opened) socket.destroy()
  server.close()
  t.ok(count > 0)
  return count
}

t.test('requests that find their connection closed share one new socket', async (t) => {
  t.equal(await socketsFor(t, [singleConnect]), 1)
  t.equal(await socketsFor(t, []), 3, 'stock opens one for each: the patch is still needed')
})

t.test('a failed attempt does not stand in the way of the next', async (t) => {
  const Connection = freshKafkajs([singleConnect]).load<new (options: object) => { connect(): Promise<unknown> }>(
    'network/connection.js',
  )
  let attempts = 0
  const connection = new Connection({
    host: '127.0.0.1',
    port: 1,
    logger: quietLogger,
    requestTimeout: 1000,
    connectionTimeout: 1000,
    socketFactory: () => {
      attempts += 1
      throw new Error('no route')
    },
  })
  await t.rejects(connection.connect(), { name: 'KafkaJSConnectionError' })
  await t.rejects(connection.connect(), { name: 'KafkaJSConnectionError' })
  t.equal(attempts, 2)
})
