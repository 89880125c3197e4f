import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describeError } from '../errors.ts'
import type { Registry } from '../metrics.ts'

/**
 * `/healthz`, `/readyz` and `/metrics` of a process that serves nothing else. Healthy = the event loop turns: restart it when this
 * fails. Ready = it does its work: `detail` says what it waits for, with codes and positions and never with secrets.
 */
export interface HealthCheck {
  readonly ready: boolean
  readonly detail: unknown
}

export interface HealthServerOptions {
  readonly host: string
  /** 0 = any free port. */
  readonly port: number
  /** Of the process, in each answer. */
  readonly name: string
  ready(): HealthCheck | Promise<HealthCheck>
  /** What `/metrics` answers. */
  readonly metrics?: Pick<Registry, 'contentType' | 'metrics'>
}

export interface HealthServer {
  readonly port: number
  close(): Promise<void>
}

/** Throws what `listen` throws (EADDRINUSE). */
export const startHealthServer = async ({
  host,
  port,
  name,
  ready,
  metrics,
}: HealthServerOptions): Promise<HealthServer> => {
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const [path] = (request.url ?? '/').split('?')
    if (path === '/healthz') return send(response, 200, { name, status: 'ok' })
    if (path === '/metrics' && metrics !== undefined) {
      response.writeHead(200, { 'content-type': metrics.contentType, 'cache-control': 'no-store' })
      return response.end(await metrics.metrics())
    }
    if (path !== '/readyz') return send(response, 404, { name, status: 'unknown path' })
    const check = await Promise.resolve()
      .then(ready)
      .catch((error: unknown) => ({ ready: false, detail: describeError(error) }))
    return send(response, check.ready ? 200 : 503, { name, status: check.ready ? 'ready' : 'not ready', ...check })
  }
  const server = createServer((request, response) => void answer(request, response))
  server.listen(port, host)
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

const send = (response: ServerResponse, status: number, body: object) => {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
  response.end(`${JSON.stringify(body)}\n`)
}
