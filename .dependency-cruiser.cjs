/**
 * Who may import whom (ARCHITECTURE.md). A layer's list holds the folders of ours that it may import besides itself;
 * each third-party library that we may have to replace one day is fenced into one folder.
 */
const layers = {
  platform: [],
  schemas: [],
  storage: ['platform'],
  media: ['platform'],
  runtime: ['platform'],
  processors: ['runtime', 'schemas', 'platform', 'media', 'storage'],
  projections: ['runtime', 'schemas', 'platform', 'prisma'],
  api: ['prisma', 'platform', 'storage'],
  'ingest/gateway': ['runtime', 'schemas', 'storage', 'platform', 'prisma'],
  'ingest/import': ['platform'],
  'ingest/reconciler': ['runtime', 'schemas', 'storage', 'platform', 'prisma'],
  'ingest/sdk': [],
  web: ['ingest/sdk'],
}

const everywhere = [
  'platform',
  'schemas',
  'storage',
  'media',
  'runtime',
  'processors',
  'projections',
  'api',
  'ingest',
  'web',
  'prisma',
  'local',
  'cli',
  'scripts',
  'bench',
  'test',
]

/** Composition roots read the configuration and construct clients: they may import what their tests may not. */
const ROOTS =
  '^(processors/(main|workers)\\.ts|projections/main\\.ts|api/server\\.ts|ingest/gateway/server\\.ts|web/server\\.ts)$'
const TESTS = '\\.test\\.ts$'

const forbiddenFolders = (allowed, self) =>
  everywhere.filter((folder) => ![self.split('/')[0], ...allowed.map((name) => name.split('/')[0])].includes(folder))

const layerRules = Object.entries(layers).map(([layer, allowed]) => ({
  name: `layer-${layer.replace('/', '-')}`,
  comment: `${layer} may import ${allowed.join(', ') || 'nothing of ours'}`,
  severity: 'error',
  from: { path: `^${layer}/`, pathNot: [TESTS, '/testing/', ROOTS] },
  to: { path: `^(${forbiddenFolders(allowed, layer).join('|')})/` },
}))

const fence = (library, folder) => ({
  name: `fence-${library.replaceAll(/[^a-z]/g, '')}`,
  comment: `${library} only in ${folder}`,
  severity: 'error',
  from: { pathNot: [`^(${folder})`, TESTS, '^(bench|docs|test)/'] },
  to: { path: `^node_modules/${library}` },
})

module.exports = {
  forbidden: [
    ...layerRules,
    {
      name: 'no-circular',
      comment: 'a cycle hides which of the two is the more general',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'processors-apart',
      comment: 'processors share schemas, never code',
      severity: 'error',
      from: { path: '^processors/([^/]+)/' },
      to: { path: '^processors/([^/]+)/', pathNot: '^processors/$1/' },
    },
    {
      name: 'pure-processors',
      comment: 'what does I/O is imported by executors only',
      severity: 'error',
      from: { path: '^processors/', pathNot: ['/effects/', '^processors/(process|settings)\\.ts$', TESTS, ROOTS] },
      to: {
        path: '^(storage|media)/',
        pathNot:
          '^(storage/(object-keys|part-size)|media/(ladder|plan|arguments|types|rejections|completeness|storyboard|segmenter|fmp4|hls/.*))\\.ts$',
      },
    },
    {
      name: 'sdk-stands-alone',
      comment: 'the SDK runs in a browser',
      severity: 'error',
      from: { path: '^ingest/sdk/', pathNot: [TESTS, '/testing/'] },
      to: { pathNot: '^ingest/sdk/' },
    },
    {
      name: 'gateway-and-sdk-apart',
      comment: 'the gateway does not import the client',
      severity: 'error',
      from: { path: '^ingest/gateway/', pathNot: TESTS },
      to: { path: '^ingest/sdk/' },
    },
    {
      name: 'web-knows-the-sdk-only',
      comment: 'pages speak to the gateway over HTTP, through the client',
      severity: 'error',
      from: { path: '^web/', pathNot: TESTS },
      to: { path: '^ingest/', pathNot: '^ingest/sdk/' },
    },
    {
      name: 'api-storage',
      comment: 'the API signs and reads, it never writes',
      severity: 'error',
      from: { path: '^api/', pathNot: [TESTS, ROOTS] },
      to: { path: '^storage/', pathNot: '^storage/(presign|read-object|s3-client|object-keys)\\.ts$' },
    },
    {
      name: 'nobody-imports-the-shells',
      comment: 'cli, local, test, bench and scripts are composition roots',
      severity: 'error',
      from: { pathNot: ['^(cli|local|test|bench|scripts)/', TESTS, '/testing/'] },
      to: { path: '^(cli|local|test|bench|scripts)/' },
    },
    fence('kafkajs', 'runtime/kafka/'),
    fence('avsc', 'runtime/codec/'),
    fence('@kafkajs/confluent-schema-registry', 'runtime/codec/'),
    // What a bench compares us with is nobody's interface.
    fence('@aws-sdk', 'storage/|bench/upload/'),
    fence('ipaddr.js', 'platform/ip-address\\.ts'),
    fence('fluent-ffmpeg', 'media/ffmpeg\\.ts'),
    fence('@prisma', 'prisma/|projections/|api/|ingest/gateway/|ingest/reconciler/|local/|cli/|scripts/'),
    fence('prom-client', 'platform/metrics\\.ts'),
    fence('@opentelemetry', 'platform/otlp-span-exporter\\.ts'),
    {
      name: 'servers-in-one-place',
      comment: 'a server that is made elsewhere answers in the words of its framework',
      severity: 'error',
      from: { pathNot: ['^platform/http/http-server\\.ts$', TESTS, '/testing/', '^test/'] },
      to: { path: '^node_modules/fastify/', dependencyTypesNot: ['type-only'] },
    },
    fence('fastify', 'api/|cli/testing/|ingest/gateway/|local/|platform/http/|web/'),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    // node_modules must stay in the graph, or no fence would ever see what it forbids.
    exclude: { path: '^(\\.data|\\.tap|web/dist|prisma/generated)' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      extensions: ['.ts', '.mts', '.js', '.mjs', '.cjs', '.json'],
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
}
