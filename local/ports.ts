import { createServer, type Server } from 'node:net'
import { ConfigError, UpstreamError } from '../platform/errors.ts'

/**
 * Ports are checked by binding them before anything is started: each server would otherwise find out only at the end of
 * its own start-up, with a message of its own. All collisions are reported together, with one line that can be pasted.
 */
export interface PortClaim {
  /** what will listen there, for people */
  readonly what: string
  /** the setting that changes it */
  readonly setting: string
  /** added to the setting's value: the broker's controller takes the port after the broker's */
  readonly offset?: number
  readonly host: string
  readonly port: number
}

/** @throws ConfigError PORT_IN_USE naming every port that is taken, its setting and a free replacement */
export const requireFreePorts = async (claims: readonly PortClaim[]): Promise<void> => {
  const taken = await findTaken(claims)
  if (taken.length === 0) return
  const settings = [...new Set(taken.map(({ setting }) => setting))]
  const free = await freePorts(settings.length * 2)
  const replacements = settings.map((setting, i) => ({ setting, port: (free[0] ?? 0) + 2 * i }))
  throw new ConfigError('PORT_IN_USE', collisionMessage(taken, replacements), {
    facts: { ports: taken.map(({ port }) => port).join(',') },
  })
}

export const collisionMessage = (
  taken: readonly PortClaim[],
  replacements: readonly { readonly setting: string; readonly port: number }[],
): string => {
  const lines = taken.map(({ what, setting, host, port, offset }) => {
    const origin = offset ? `${setting} + ${offset}` : setting
    return `  ${host}:${port} (${origin}) is wanted for ${what}, but another program listens there`
  })
  const command = replacements.map(({ setting, port }) => `${setting}=${port}`).join(' ')
  return [
    taken.length === 1 ? 'A port is in use:' : `${taken.length} ports are in use:`,
    ...lines,
    'Stop that program (ss -ltnp shows which it is), or choose other ports, these are free now:',
    `  ${command} npm start`,
  ].join('\n')
}

/**
 * Consecutive free loopback ports, from below the range that the kernel gives to outgoing connections, so that nobody
 * gets one of them by chance before it is used.
 * @throws UpstreamError NO_FREE_PORTS when many tries found none
 */
export const freePorts = async (count: number): Promise<number[]> => {
  for (let tries = 0; tries < 50; tries++) {
    const first = 20_000 + Math.floor(Math.random() * (12_000 - count))
    const ports = Array.from({ length: count }, (_, i) => first + i)
    const claims = ports.map((port) => ({ what: '', setting: '', host: '127.0.0.1', port }))
    if ((await findTaken(claims)).length === 0) return ports
  }
  throw new UpstreamError('NO_FREE_PORTS', `no ${count} consecutive free ports between 20000 and 32000`)
}

/** Holds every port until all were tried, so that two claims of one port collide as well. */
const findTaken = async (claims: readonly PortClaim[]): Promise<PortClaim[]> => {
  const attempts = await Promise.all(claims.map(async (claim) => ({ claim, server: await bind(claim) })))
  const held = attempts.flatMap(({ server }) => (server ? [server] : []))
  await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))))
  return attempts.filter(({ server }) => server === undefined).map(({ claim }) => claim)
}

const bind = ({ host, port, setting }: PortClaim): Promise<Server | undefined> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once('listening', () => resolve(server))
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined)
      else reject(new ConfigError('PORT_UNUSABLE', `${setting}: cannot listen on ${host}:${port}: ${error.message}`))
    })
    server.listen({ host, port, exclusive: true })
  })

const PORT_SETTINGS = [
  ...['WEB_PORT', 'PROCESSORS_PORT', 'WORKERS_PORT', 'PROJECTIONS_PORT'],
  ...['REGISTRY_PORT', 'S3_PORT', 'POSTGRES_PORT', 'KAFKA_PORT'],
]

/** All port settings of `npm start`, with free ones, for one that runs beside others. @throws UpstreamError NO_FREE_PORTS */
export const freePortSettings = async (): Promise<Readonly<Record<string, string>>> => {
  // Kafka's controller takes the port behind Kafka's.
  const ports = await freePorts(PORT_SETTINGS.length + 1)
  return Object.fromEntries(PORT_SETTINGS.map((name, n) => [name, String(ports[n])]))
}
