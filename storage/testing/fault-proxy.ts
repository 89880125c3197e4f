import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/**
 * A reverse proxy in front of a real S3 server that does to requests what networks and dying servers do. The Host
 * header is passed on unchanged, so signatures made for the proxy's address stay valid.
 */
export type Fault =
  /** The request is not passed on; S3 "answers" this. `s3Error`: its name of the error. */
  | { readonly kind: 'status'; readonly status: number; readonly s3Error?: string }
  /** S3 does the work, its answer is lost. */
  | { readonly kind: 'lose-answer' }
  /** S3 does the work, and answers this all the same. */
  | { readonly kind: 'deny'; readonly status: number; readonly s3Error: string }
  /** The connection dies after that many bytes of the answer's body. */
  | { readonly kind: 'cut'; readonly afterBytes: number }
  /** One bit of the request's body is flipped on the way. */
  | { readonly kind: 'flip-bit' }

export interface AskedRequest {
  readonly method: string
  readonly url: string
  readonly userAgent: string
}

export interface FaultProxy {
  readonly endpoint: string
  /** Asked for every request; undefined = pass it on. */
  decide: (request: AskedRequest) => Fault | undefined
  /** Requests seen so far, `METHOD url`. */
  readonly seen: string[]
  close(): Promise<void>
}

export const startFaultProxy = async (target: string): Promise<FaultProxy> => {
  const proxy: FaultProxy = { endpoint: '', decide: () => undefined, seen: [], close: () => closeServer() }
  const server = createServer((incoming, response) => {
    const { method = '', url = '' } = incoming
    const asked = { method, url, userAgent: incoming.headers['user-agent'] ?? '' }
    proxy.seen.push(`${asked.method} ${asked.url}`)
    const fault = proxy.decide(asked)
    if (fault?.kind === 'status') {
      incoming.resume()
      incoming.on('end', () => refuse(response, fault))
      return
    }
    forward(target, incoming, response, fault)
  })
  const closeServer = (): Promise<void> => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(() => resolve()))
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(proxy, { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
}

const refuse = (response: ServerResponse, { status, s3Error }: { status: number; s3Error?: string }): void => {
  const body = s3Error === undefined ? '' : `<Error><Code>${s3Error}</Code><Message>played</Message></Error>`
  response.writeHead(status, { 'content-type': 'application/xml' }).end(body)
}

const forward = (target: string, incoming: IncomingMessage, response: ServerResponse, fault: Fault | undefined) => {
  const options = { method: incoming.method, headers: incoming.headers, agent: false as const }
  const outgoing = request(new URL(incoming.url ?? '/', target), options, (answer) => {
    if (fault?.kind === 'lose-answer') {
      answer.resume()
      answer.on('end', () => response.destroy())
      return
    }
    if (fault?.kind === 'deny') {
      answer.resume()
      answer.on('end', () => refuse(response, fault))
      return
    }
    response.writeHead(answer.statusCode ?? 502, answer.headers)
    if (fault?.kind !== 'cut') return void answer.pipe(response)
    let left = fault.afterBytes
    answer.on('data', (chunk: Buffer) => {
      const part = chunk.subarray(0, left)
      left -= part.length
      response.write(part)
      if (left === 0) response.destroy()
    })
  })
  outgoing.on('error', () => response.destroy())
  incoming.on('error', () => outgoing.destroy())
  if (fault?.kind !== 'flip-bit') return void incoming.pipe(outgoing)
  incoming.once('data', (chunk: Buffer) => {
    chunk.writeUInt8(chunk.readUInt8(0) ^ 1, 0)
    outgoing.write(chunk)
    incoming.pipe(outgoing)
  })
}
