import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { startGate } from './gate.ts'

const behindGate = async (t: Test) => {
  let receivedBytes = 0
  const server = createServer((incoming, answer) => {
    incoming.on('data', (chunk: Buffer) => {
      receivedBytes += chunk.length
    })
    incoming.on('end', () => answer.end('thanks'))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const gate = await startGate((server.address() as AddressInfo).port)
  t.teardown(async () => {
    await gate.close()
    server.closeAllConnections()
    server.close()
  })
  return { gate, server, receivedBytes: () => receivedBytes }
}

const send = (port: number, bytes: number): Promise<number> =>
  new Promise((resolve, reject) => {
    const outgoing = request({ port, host: '127.0.0.1', method: 'PUT', agent: false }, (answer) => {
      answer.resume()
      answer.once('end', () => resolve(answer.statusCode ?? 0))
    })
    outgoing.once('error', reject)
    outgoing.end(Buffer.alloc(bytes))
  })

const MB = 1_000_000

t.test('counts what is sent, and passes it on', async (t) => {
  const { gate, receivedBytes } = await behindGate(t)
  t.equal(await send(gate.port, MB), 200)
  t.equal(receivedBytes(), MB)
  t.ok(gate.sentBytes() >= MB && gate.sentBytes() < MB + 1000, `${gate.sentBytes()} bytes`)
})

t.test('holds everything back at a byte, until it is released', async (t) => {
  const { gate, receivedBytes } = await behindGate(t)
  const held = gate.holdAfter(2 * MB)
  const sending = send(gate.port, 8 * MB)
  await held
  t.ok(receivedBytes() < 3 * MB, `${receivedBytes()} bytes have passed`)
  gate.release()
  t.equal(await sending, 200)
  t.equal(receivedBytes(), 8 * MB)
})

t.test('is away, and back', async (t) => {
  const { gate } = await behindGate(t)
  gate.shut()
  await t.rejects(send(gate.port, 1))
  gate.open()
  t.equal(await send(gate.port, 1), 200)
})

t.test('of a server that is dead no byte is taken', async (t) => {
  const { gate, server } = await behindGate(t)
  await new Promise((resolve) => server.close(resolve))
  await t.rejects(send(gate.port, MB))
  t.equal(gate.sentBytes(), 0)
})
