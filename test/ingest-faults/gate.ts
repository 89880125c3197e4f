import type { AddressInfo } from 'node:net'
import { connect, createServer, type Socket } from 'node:net'

/**
 * A port in front of a server, as the network between: it counts the bytes that are sent, holds them back at a chosen
 * byte, so that a fault happens in the middle for certain, and can be away. Of a connection nothing is read before the
 * server has taken it, so that a server that is dead costs its clients no bytes, as without the gate.
 */
export interface Gate {
  readonly port: number
  /** Where connections go from now on. */
  target: number
  /** Bytes that clients have sent since `countAnew`, headers included. */
  sentBytes(): number
  countAnew(): void
  /** Resolves when that many bytes have been sent; then nothing more passes until `release`. */
  holdAfter(bytes: number): Promise<void>
  release(): void
  /** Cuts every connection and takes none until `open`. */
  shut(): void
  open(): void
  close(): Promise<void>
}

export const startGate = async (target: number): Promise<Gate> => {
  const clients = new Set<Socket>()
  let sentBytes = 0
  let isShut = false
  let holding: { readonly atBytes: number; reached(): void } | undefined
  const isHeld = () => holding !== undefined && sentBytes >= holding.atBytes

  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (client) => {
    if (isShut) return void client.resetAndDestroy()
    const upstream = connect({ port: gate.target, host: LOOPBACK, allowHalfOpen: true })
    clients.add(client)
    client.once('close', () => {
      clients.delete(client)
      upstream.destroy()
    })
    client.on('error', () => upstream.destroy())
    // Not reset: with a write under way Node 24.9 then never gets through its own cleanup at the end of the process.
    upstream.on('error', () => client.destroy())
    client.on('data', (chunk: Buffer) => {
      sentBytes += chunk.length
      if (!upstream.write(chunk)) client.pause()
      if (!isHeld()) return
      for (const each of clients) each.pause()
      holding?.reached()
    })
    client.on('end', () => upstream.end())
    const goOn = () => {
      if (!isHeld()) client.resume()
    }
    upstream.on('drain', goOn)
    upstream.once('connect', goOn)
    upstream.pipe(client)
  })
  const gate: Gate = {
    port: 0,
    target,
    sentBytes: () => sentBytes,
    countAnew: () => {
      sentBytes = 0
    },
    holdAfter: (atBytes) =>
      new Promise((reached) => {
        holding = { atBytes, reached }
      }),
    release: () => {
      holding = undefined
      for (const client of clients) client.resume()
    },
    shut: () => {
      isShut = true
      for (const client of clients) client.resetAndDestroy()
    },
    open: () => {
      isShut = false
    },
    close: () => {
      for (const client of clients) client.destroy()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve))
  return Object.assign(gate, { port: (server.address() as AddressInfo).port })
}

const LOOPBACK = '127.0.0.1'
