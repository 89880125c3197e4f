/** For tests: as much of S3 as a reader needs, with a count of what was asked for. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createS3Client } from '../../storage/s3-client.ts'
import type { MediaStore } from '../context.ts'

export interface ObjectServer extends MediaStore {
  put(key: string, body: string | Buffer): void
  /** GETs of the key. */
  reads(key: string): number
  close(): Promise<void>
}

export const startObjectServer = async (): Promise<ObjectServer> => {
  const objects = new Map<string, Buffer>()
  const counts = new Map<string, number>()
  const server = createServer((request, response) => {
    const key = decodeURIComponent(new URL(request.url ?? '/', 'http://s3').pathname).replace('/media/', '')
    counts.set(key, (counts.get(key) ?? 0) + 1)
    const body = objects.get(key)
    if (body === undefined) {
      response.writeHead(404, { 'content-type': 'application/xml' })
      response.end('<Error><Code>NoSuchKey</Code></Error>')
      return
    }
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? []
    if (from === undefined) {
      response.writeHead(200, { etag: '"e"', 'content-length': body.length })
      response.end(body)
      return
    }
    const part = body.subarray(Number(from), to ? Number(to) + 1 : undefined)
    const range = `bytes ${from}-${Number(from) + part.length - 1}/${body.length}`
    response.writeHead(206, { etag: '"e"', 'content-length': part.length, 'content-range': range })
    response.end(part)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const s3 = createS3Client({
    endpoint,
    publicEndpoint: endpoint,
    region: 'us-east-1',
    accessKeyId: 'test',
    secretAccessKey: 'test',
  })
  return {
    s3,
    bucket: 'media',
    put: (key, body) => objects.set(key, Buffer.from(body)),
    reads: (key) => counts.get(key) ?? 0,
    async close() {
      s3.destroy()
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
