import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { DEPLOYED_FLAGS } from '../bench/engine/sides.ts'
import { productPrograms } from '../local/roles.ts'
import { readConfig, SETTINGS } from '../platform/config.ts'

/**
 * docker-compose.yml, Dockerfile and the proxy's configuration cannot be run in CI, so they are held against the code:
 * whatever they name (settings, files, ports, paths, each other) must exist.
 */
const ROOT = path.resolve(import.meta.dirname, '..')
const text = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8')

interface Service {
  readonly image: string
  readonly build?: string
  readonly command?: string | readonly string[]
  readonly entrypoint?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
  readonly healthcheck?: { readonly test: readonly string[] }
  readonly ports?: readonly string[]
  readonly volumes?: readonly string[]
  readonly configs?: readonly { readonly source: string }[]
  readonly read_only?: boolean
}

const source = text('docker-compose.yml')
const compose = parse(source, { merge: true }) as {
  readonly services: Readonly<Record<string, Service>>
  readonly volumes: object
  readonly configs: object
}
const services = new Map(Object.entries(compose.services))
const ours = [...services].filter(([, { build }]) => build !== undefined)
const settingNames = new Map(Object.values(SETTINGS).map((setting) => [setting.env, setting]))

/** Variables of other people's images, from their documentation; KAFKA_* are the broker's properties in capitals. */
const FOREIGN: Readonly<Record<string, RegExp>> = {
  kafka: /^(CLUSTER_ID|KAFKA_[A-Z_]+)$/,
  postgres: /^POSTGRES_(USER|PASSWORD|DB|INITDB_ARGS)$/,
  registry: /^APICURIO_(STORAGE_KIND|STORAGE_SQL_KIND|DATASOURCE_(URL|USERNAME|PASSWORD|JDBC_(INITIAL|MIN|MAX)_SIZE))$/,
}

/** `${NAME:-default}` and `${NAME:?message}`; a name without a default gets a value that would do. */
const interpolated = (value: string, own: Readonly<Record<string, string>> = {}): string =>
  value.replaceAll(/\$\{([A-Z0-9_]+)(?::([-?])([^}]*))?\}/g, (_, name: string, kind?: string, rest = '') =>
    kind === '-' ? rest : (own[name] ?? 'a-secret-of-more-than-thirty-two-characters'),
  )

const environmentOf = ({ environment = {} }: Service): Record<string, string> =>
  Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, interpolated(value)]))

/** `node [flags] <entry> …` */
const entryOf = ({ command = [], entrypoint }: Service): string =>
  entrypoint?.at(-1) ?? [command].flat().find((word) => !word.startsWith('-')) ?? ''

t.test('every variable of our services is a setting, with a value that the setting takes', async (t) => {
  t.ok(ours.length >= 8)
  for (const [name, service] of ours) {
    const unknown = Object.keys(service.environment ?? {}).filter((variable) => !settingNames.has(variable))
    t.same(unknown, [], name)
    t.doesNotThrow(() => readConfig(environmentOf(service)), name)
  }
})

t.test('every variable of another image is one that it documents', async (t) => {
  for (const [name, { environment = {}, build }] of services) {
    if (build !== undefined) continue
    const unknown = Object.keys(environment).filter((variable) => !FOREIGN[name]?.test(variable))
    t.same(unknown, [], name)
  }
})

t.test('what the file takes from .env is a setting, or the password that ours contain', async (t) => {
  const names = [...source.matchAll(/\$\{([A-Z0-9_]+)/g)].map(([, name]) => name ?? '')
  t.ok(names.length > 10)
  t.same(
    [...new Set(names)].filter((name) => !settingNames.has(name)),
    ['POSTGRES_PASSWORD'],
  )
})

t.test('each of our commands is a program that is there, and goes into the image', async (t) => {
  const ignored = text('.dockerignore')
  for (const [name, service] of ours) {
    const entry = entryOf(service)
    t.ok(entry.endsWith('.ts') && existsSync(path.join(ROOT, entry)), `${name}: ${entry}`)
    t.match(ignored, new RegExp(`^!${entry.split('/')[0]}/$`, 'm'), `${name}: .dockerignore lets ${entry} in`)
  }
})

t.test('the engine is measured with the nursery that it is deployed with', async (t) => {
  const flags = ours.flatMap(([name, { command = [] }]) => (name === 'processors' ? [command].flat().slice(0, -1) : []))
  t.same(flags, DEPLOYED_FLAGS)
})

t.test('each of our services has the settings that its program refuses to start without', async (t) => {
  for (const [name, service] of ours.filter(([name]) => name !== 'cli')) {
    const entry = entryOf(service)
    const required = requiredSettings(entry)
    t.ok(required.length > 0, `${name}: ${entry} asks for settings`)
    const config = readConfig(environmentOf(service))
    const missing = required.filter((setting) => String(config[setting]) === '')
    t.same(missing, [], name)
  }
})

t.test('every role of npm start is here', async (t) => {
  const { roles, migrate } = productPrograms(readConfig({}))
  const entries = ours.map(([, service]) => entryOf(service))
  for (const { name, entry } of roles.filter((role) => role.name !== 'front')) {
    t.ok(entries.includes(path.relative(ROOT, entry)), name)
  }
  t.ok(entries.includes(path.relative(ROOT, migrate)), 'migrate')
  t.ok(roles.some(({ name }) => name === 'front'))
  t.same(
    ['api/server.ts', 'ingest/gateway/server.ts', 'web/server.ts'].filter((entry) => !entries.includes(entry)),
    [],
    'front is these three behind one proxy',
  )
})

t.test('whoever is waited for exists and can be waited for', async (t) => {
  for (const [name, { depends_on = {} }] of services) {
    for (const [other, { condition }] of Object.entries(depends_on)) {
      const service = services.get(other)
      t.ok(service, `${name} waits for ${other}`)
      if (condition === 'service_healthy') t.ok(service?.healthcheck, `${other} says when it is healthy`)
    }
  }
})

t.test('every address inside names a service and a port that it listens on', async (t) => {
  const listening = new Map([...services].map(([name, service]) => [name, portsInside(service)]))
  let found = 0
  for (const [name, service] of services) {
    for (const value of Object.values(environmentOf(service))) {
      for (const [, host = '', port = ''] of value.matchAll(/(?:^|\/\/|@|,)([a-z0-9]+):(\d+)/g)) {
        if (host === 'localhost') continue
        found++
        t.ok(listening.get(host)?.includes(port), `${name}: ${host}:${port}`)
      }
    }
  }
  t.ok(found > 20, `${found} addresses`)
})

t.test('a published port is bound to this machine, and is by default the port of npm start', async (t) => {
  for (const [name, { ports = [] }] of services) {
    for (const port of ports) {
      const [, setting = '', fallback = ''] = /^127\.0\.0\.1:\$\{([A-Z0-9_]+):-(\d+)\}:\d+$/.exec(port) ?? []
      t.equal(settingNames.get(setting)?.fallback, fallback, `${name}: ${port}`)
    }
  }
})

t.test('a health check asks the port that the process has', async (t) => {
  const checked = ours.filter(([, { healthcheck }]) => healthcheck !== undefined)
  t.equal(checked.length, ours.length - 2, 'all but migrate and cli')
  for (const [name, service] of checked) {
    t.ok(portsInside(service).includes(service.healthcheck?.test.at(-1) ?? ''), name)
    t.ok(existsSync(path.join(ROOT, service.healthcheck?.test[2] ?? '')), name)
  }
})

t.test('volumes, configs and mounted files exist', async (t) => {
  for (const [name, { volumes = [], configs = [] }] of services) {
    for (const [from = ''] of volumes.map((volume) => volume.split(':'))) {
      t.ok(from.startsWith('.') ? existsSync(path.join(ROOT, from)) : from in compose.volumes, `${name}: ${from}`)
    }
    for (const { source: config } of configs) t.ok(config in compose.configs, `${name}: ${config}`)
  }
  const { content } = (compose.configs as Record<string, { content: string }>)['s3-identities'] ?? { content: '' }
  t.doesNotThrow(() => JSON.parse(interpolated(content)))
})

t.test('the image is built of files that exist, and does not run as root', async (t) => {
  const dockerfile = text('Dockerfile')
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, files = '']) => files.split(' '))
  t.ok(copied.length >= 6)
  t.same(
    copied.filter((file) => !existsSync(path.join(ROOT, file))),
    [],
  )
  t.match(dockerfile, /^USER node$/m)
  t.match(dockerfile, /^ENTRYPOINT \["node"\]$/m)
  const { version } = JSON.parse(text('package.json')) as { version: string }
  t.ok(ours.every(([, { image }]) => image === `reelstream:${version}`))
  const { node } = (JSON.parse(text('package.json')) as { dependencies: { node: string } }).dependencies
  t.match(dockerfile, `node:${node}-`, 'the Node of the checkout')
})

t.test('the proxy knows every path of pages, API and gateway', async (t) => {
  const conf = text('deploy/nginx.conf')
  const upstreams = [...conf.matchAll(/upstream (\w+) \{\s*server (\w+):(\d+)/g)]
  t.equal(upstreams.length, 3)
  for (const [, name, host = '', port = ''] of upstreams) {
    t.equal(name, host)
    t.ok(services.has(host) && portsInside(services.get(host) as Service).includes(port), `${host}:${port}`)
  }
  t.match(conf, /listen 3000;/)
  t.ok(services.get('edge')?.ports?.every((port) => port.endsWith(':3000')))

  const api = readdirSync(path.join(ROOT, 'api', 'routes'))
  t.ok(api.length >= 5)
  for (const folder of [...api, 'documentation', 'videos/x/events', 'videos/x/history', 'watch/x/master.m3u8']) {
    t.equal(routed(conf, 'GET', `/${folder}`), 'api', `GET /${folder}`)
  }
  const gateway = gatewayRoutes()
  t.ok(gateway.length >= 8)
  for (const [method, url] of gateway) t.equal(routed(conf, method, url), 'gateway', `${method} ${url}`)
  for (const url of ['/', '/upload', '/v/x', '/assets/x.js']) t.equal(routed(conf, 'GET', url), 'web', url)
})

/** Ports that a container listens on: those it publishes, those its settings give our programs, and Kafka's listeners. */
const portsInside = (service: Service): string[] => {
  const { WEB_PORT, PROCESSORS_PORT, WORKERS_PORT, PROJECTIONS_PORT, KAFKA_LISTENERS } = environmentOf(service)
  const own = [WEB_PORT, PROCESSORS_PORT, WORKERS_PORT, PROJECTIONS_PORT].filter((port) => port !== undefined)
  const published = (service.ports ?? []).map((port) => port.slice(port.lastIndexOf(':') + 1))
  const listeners = [...(KAFKA_LISTENERS ?? '').matchAll(/:(\d+)/g)].map(([, port]) => port ?? '')
  return [...own, ...published, ...listeners]
}

/** What `requireSettings` of the program asks for; processors and workers share theirs, and a token has two spellings. */
const requiredSettings = (entry: string): (keyof typeof SETTINGS)[] => {
  const files = [entry, ...(entry.startsWith('processors/') ? ['processors/process.ts'] : [])]
  const lists = files.flatMap((file) => [...text(file).matchAll(/requireSettings\(config, \[([^\]]*)\]/g)])
  return lists.flatMap(([, list = '']) =>
    [...list.matchAll(/'(\w+)'/g)].map(([, name]) => name as keyof typeof SETTINGS),
  )
}

/** The routes that the gateway registers, with a value for each parameter. */
const gatewayRoutes = (): [method: string, url: string][] =>
  globSync('ingest/gateway/routes/*.ts', { cwd: ROOT }).flatMap((file) =>
    [...text(file).matchAll(/method: '([A-Z]+)',\s*url: '([^']+)'/g)].map(
      ([, method = '', url = '']): [string, string] => [method, url.replaceAll(/:\w+/g, 'x')],
    ),
  )

/** Where nginx sends a request: the first regular expression that matches, else the prefix `/`. */
const routed = (conf: string, method: string, url: string): string => {
  const locations = [...conf.matchAll(/location (?:~ )?(\S+) \{\s*proxy_pass http:\/\/(\$?\w+);/g)]
  const regular = locations.find(([, pattern = '']) => pattern !== '/' && new RegExp(pattern).test(url))
  const [, , target = ''] = regular ?? locations.find(([, pattern]) => pattern === '/') ?? []
  if (!target.startsWith('$')) return target
  const map = /map \$request_method \$\w+ \{([^}]*)\}/.exec(conf)?.[1] ?? ''
  const choice = new RegExp(`^\\s*${method}\\s+(\\w+);`, 'm').exec(map) ?? /default\s+(\w+);/.exec(map)
  return choice?.[1] ?? ''
}
