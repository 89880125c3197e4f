import { spawnSync } from 'node:child_process'
import { cpSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import t from 'tap'

/**
 * Who may import whom (ARCHITECTURE.md): the tree keeps the rules, and each rule is seen to catch what it forbids.
 *
 * dependency-cruiser is quiet when it understands nothing (with a TypeScript that it cannot load it reports no violation
 * in no modules), so the number of modules is part of the proof, and so is a planted violation of every rule.
 */
const ROOT = path.resolve(import.meta.dirname, '..')
const CONFIG = '.dependency-cruiser.cjs'

interface Report {
  readonly summary: {
    readonly totalCruised: number
    readonly violations: readonly {
      readonly rule: { readonly name: string }
      readonly from: string
      readonly to: string
    }[]
  }
}

/** The command line of `npm run layers`, told to report as JSON. */
const cruise = (folder: string): Report['summary'] => {
  const program = path.join(ROOT, 'node_modules', 'dependency-cruiser', 'bin', 'dependency-cruiser.mjs')
  const options = ['--config', CONFIG, '--output-type', 'json', '.']
  const { stdout, stderr } = spawnSync(process.execPath, [program, ...options], {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
  })
  if (stdout === '') throw new Error(`dependency-cruiser said nothing: ${stderr}`)
  return (JSON.parse(stdout) as Report).summary
}

/** A module of ours or a library that must not be imported, by the rule that says so. */
const FORBIDDEN: Readonly<Record<string, readonly [from: string, to: string]>> = {
  'layer-platform': ['platform/planted.ts', 'schemas/topics.ts'],
  'layer-schemas': ['schemas/planted.ts', 'platform/ids.ts'],
  'layer-storage': ['storage/planted.ts', 'media/plan.ts'],
  'layer-media': ['media/planted.ts', 'storage/presign.ts'],
  'layer-runtime': ['runtime/planted.ts', 'schemas/topics.ts'],
  'layer-processors': ['processors/one/planted.ts', 'projections/index.ts'],
  'layer-projections': ['projections/planted.ts', 'storage/presign.ts'],
  'layer-api': ['api/planted.ts', 'runtime/topology.ts'],
  'layer-ingest-gateway': ['ingest/gateway/planted.ts', 'processors/index.ts'],
  'layer-ingest-import': ['ingest/import/planted.ts', 'storage/presign.ts'],
  'layer-ingest-reconciler': ['ingest/reconciler/planted.ts', 'processors/index.ts'],
  'layer-ingest-sdk': ['ingest/sdk/planted.ts', 'platform/ids.ts'],
  'layer-web': ['web/planted.ts', 'platform/ids.ts'],
  'web-knows-the-sdk-only': ['web/planted-too.ts', 'ingest/gateway/app.ts'],
  'no-circular': ['runtime/about.ts', 'runtime/round.ts'],
  'processors-apart': ['processors/one/decide.ts', 'processors/two/decide.ts'],
  'pure-processors': ['processors/one/processor.ts', 'storage/multipart.ts'],
  'sdk-stands-alone': ['ingest/sdk/requests.ts', 'node_modules/kafkajs'],
  'gateway-and-sdk-apart': ['ingest/gateway/app.ts', 'ingest/sdk/index.ts'],
  'api-storage': ['api/read.ts', 'storage/multipart.ts'],
  'nobody-imports-the-shells': ['runtime/helped.ts', 'scripts/migrate.ts'],
  'fence-kafkajs': ['runtime/codec/planted.ts', 'node_modules/kafkajs'],
  'fence-avsc': ['runtime/kafka/planted.ts', 'node_modules/avsc'],
  'fence-kafkajsconfluentschemaregistry': [
    'runtime/kafka/registry.ts',
    'node_modules/@kafkajs/confluent-schema-registry',
  ],
  'fence-awssdk': ['ingest/gateway/s3.ts', 'node_modules/@aws-sdk/client-s3'],
  'fence-ipaddrjs': ['ingest/gateway/addresses.ts', 'node_modules/ipaddr.js'],
  'fence-fluentffmpeg': ['media/planted-too.ts', 'node_modules/fluent-ffmpeg'],
  'fence-prisma': ['runtime/database.ts', 'node_modules/@prisma/client'],
  'fence-fastify': ['runtime/server.ts', 'node_modules/fastify'],
  'servers-in-one-place': ['api/own-server.ts', 'node_modules/fastify'],
  'fence-promclient': ['runtime/engine.ts', 'node_modules/prom-client'],
  'fence-opentelemetry': ['runtime/spans.ts', 'node_modules/@opentelemetry/api'],
}

t.test('the tree keeps the rules', async (t) => {
  const { totalCruised, violations } = cruise(ROOT)
  t.same(
    violations.map(({ rule, from, to }) => `${rule.name}: ${from} → ${to}`),
    [],
  )
  t.ok(totalCruised > 150, `${totalCruised} modules: TypeScript was understood`)
})

t.test('every rule catches what it forbids', async (t) => {
  const { forbidden } = createRequire(import.meta.url)(`../${CONFIG}`) as { forbidden: { name: string }[] }
  t.same(
    forbidden.map(({ name }) => name).filter((name) => !(name in FORBIDDEN)),
    [],
    'each rule has a planted violation',
  )
  const { violations } = cruise(plant(t.testdir()))
  for (const [name, [from]] of Object.entries(FORBIDDEN)) {
    t.ok(
      violations.some((violation) => violation.rule.name === name && violation.from === from),
      `${name}: ${from}`,
    )
  }
})

t.test('what is allowed is not caught', async (t) => {
  const folder = t.testdir()
  writeModules(folder, [
    ['api/read.ts', 'storage/presign.ts'],
    ['processors/one/processor.ts', 'media/plan.ts'],
    ['processors/one/effects/run.ts', 'storage/multipart.ts'],
    ['runtime/kafka/client.ts', 'node_modules/kafkajs'],
    ['web/upload.ts', 'ingest/sdk/index.ts'],
    ['cli/main.ts', 'ingest/sdk/index.ts'],
    ['runtime/topology.test.ts', 'local/settings.ts'],
  ])
  const { violations, totalCruised } = cruise(folder)
  t.same(violations, [])
  t.ok(totalCruised > 10)
})

t.test('the environment is read in platform/config.ts alone', async (t) => {
  const files = globSync(
    '{platform,storage,media,runtime,schemas,processors,projections,api,ingest,web,cli,local,scripts,bench}/**/*.ts',
    { cwd: ROOT },
  )
  const readers = files.filter((file) => /\bprocess\.env\b(?!['"`])/.test(readFileSync(path.join(ROOT, file), 'utf8')))
  t.ok(files.length > 150)
  t.same(
    readers.filter((file) => !file.endsWith('.test.ts')),
    ['platform/config.ts'],
  )
})

t.test('what is stored of an upload is counted in one place', async (t) => {
  const files = globSync('{prisma,api,ingest,processors,cli,web,local}/**/*.ts', {
    cwd: ROOT,
    exclude: ['prisma/generated/**'],
  })
  t.ok(files.length > 150)
  const counting = files.filter((file) => readFileSync(path.join(ROOT, file), 'utf8').includes('read.upload_parts'))
  t.same(counting, ['prisma/stored-parts.ts'])
})

/** A small tree that breaks every rule once. */
const plant = (folder: string): string => {
  writeModules(folder, [...Object.values(FORBIDDEN), ['runtime/round.ts', 'runtime/about.ts']])
  return folder
}

const writeModules = (folder: string, imports: readonly (readonly [from: string, to: string])[]): void => {
  for (const file of [CONFIG, 'tsconfig.json']) cpSync(path.join(ROOT, file), path.join(folder, file))
  const lines = new Map<string, string[]>()
  for (const [from, to] of imports) {
    lines.set(from, [...(lines.get(from) ?? []), importOf(from, to)])
    if (to.startsWith('node_modules/')) writePackage(folder, to)
    else if (!lines.has(to)) lines.set(to, [])
  }
  for (const [file, text] of lines) write(path.join(folder, file), [...text, 'export const value = 1', ''].join('\n'))
}

const importOf = (from: string, to: string): string => {
  if (to.startsWith('node_modules/')) return `import '${to.slice('node_modules/'.length)}'`
  const relative = path.posix.relative(path.posix.dirname(from), to)
  return `import '${relative.startsWith('.') ? relative : `./${relative}`}'`
}

const writePackage = (folder: string, target: string): void => {
  const name = target.slice('node_modules/'.length)
  write(path.join(folder, target, 'package.json'), JSON.stringify({ name, version: '1.0.0', main: 'index.js' }))
  write(path.join(folder, target, 'index.js'), 'exports.value = 1\n')
}

const write = (file: string, text: string): void => {
  mkdirSync(path.dirname(file), { recursive: true })
  writeFileSync(file, text)
}
