import { ConfigError } from './errors.ts'
import { isProxyRule } from './http/client-network.ts'

/**
 * Every setting of the product: one table, read once by a composition root (`main.ts`, `server.ts`, `cli/`, `local/`),
 * frozen, passed on as arguments. Nothing else in the tree reads the environment. docs/config.md is generated from the
 * table. All problems are reported together, so that nobody fixes them one start at a time.
 */
interface Setting<T> {
  readonly env: string
  readonly doc: string
  readonly fallback: string
  readonly secret?: true
  parse(text: string): T
}

const text = (env: string, fallback: string, doc: string): Setting<string> => ({ env, fallback, doc, parse: (s) => s })

const secret = (env: string, fallback: string, doc: string): Setting<string> => ({
  ...text(env, fallback, doc),
  secret: true,
})

const list = (env: string, fallback: string, doc: string): Setting<readonly string[]> => ({
  env,
  fallback,
  doc,
  parse: (s) =>
    s
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== ''),
})

const integer = (env: string, fallback: number, min: number, max: number, doc: string): Setting<number> => ({
  env,
  fallback: String(fallback),
  doc: `${doc} (${min} … ${max})`,
  parse: (s) => {
    const value = Number(s)
    if (!Number.isSafeInteger(value) || value < min || value > max) {
      throw new Error(`expected a whole number from ${min} to ${max}, got "${s}"`)
    }
    return value
  },
})

const number = (env: string, fallback: number, min: number, max: number, doc: string): Setting<number> => ({
  env,
  fallback: String(fallback),
  doc: `${doc} (${min} … ${max})`,
  parse: (s) => {
    const value = Number(s)
    if (s.trim() !== '' && value >= min && value <= max) return value
    throw new Error(`expected a number from ${min} to ${max}, got "${s}"`)
  },
})

const flag = (env: string, fallback: boolean, doc: string): Setting<boolean> => ({
  env,
  fallback: String(fallback),
  doc,
  parse: (s) => {
    if (s === 'true' || s === '1') return true
    if (s === 'false' || s === '0') return false
    throw new Error(`expected true or false, got "${s}"`)
  },
})

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const

const MiB = 1024 * 1024
const TiB = 1024 ** 4
/**
 * S3 takes parts of 5 GiB. But a client has a part in memory as a whole, for crypto.subtle hashes nothing piece by piece, and
 * not more than 2 GiB. The largest file needs parts of 525 MiB (storage/part-size.ts).
 */
const MAX_PART_SETTING = 1024 * MiB

export const SETTINGS = {
  logLevel: {
    env: 'LOG_LEVEL',
    fallback: 'info',
    doc: `one of ${LOG_LEVELS.join(', ')}`,
    parse: (s: string): string => {
      if ((LOG_LEVELS as readonly string[]).includes(s)) return s
      throw new Error(`expected one of ${LOG_LEVELS.join(', ')}, got "${s}"`)
    },
  },
  otlpEndpoint: text(
    'OTEL_EXPORTER_OTLP_ENDPOINT',
    '',
    'base URL of an OpenTelemetry collector that takes traces as OTLP/HTTP, http://host:4318; empty = none are sent; OpenTelemetry reads the other variables itself, such as OTEL_EXPORTER_OTLP_HEADERS',
  ),
  dataDir: text('DATA_DIR', '.data', 'folder of all local state; emptied by `npm run reset`'),
  cacheDir: text('CACHE_DIR', '', "folder of the downloaded local servers, no spaces; empty = the user's cache folder"),

  kafkaBrokers: list('KAFKA_BROKERS', '', 'host:port, comma separated; empty = `npm start` runs a local broker'),
  schemaRegistryUrl: text('SCHEMA_REGISTRY_URL', '', 'Confluent-compatible API; empty = a local registry'),
  s3Endpoint: text('S3_ENDPOINT', '', 'URL of the S3 API as our processes reach it; empty = a local server'),
  s3PublicEndpoint: text('S3_PUBLIC_ENDPOINT', '', 'URL of the S3 API as browsers reach it; empty = S3_ENDPOINT'),
  s3Region: text('S3_REGION', 'us-east-1', 'region that signatures are made for'),
  s3Bucket: text('S3_BUCKET', 'reelstream-media', 'bucket of sources, renditions and playlists'),
  s3AccessKeyId: secret('S3_ACCESS_KEY_ID', '', 'S3 access key; empty = keys as the AWS SDK finds them (docs/s3.md)'),
  s3SecretAccessKey: secret('S3_SECRET_ACCESS_KEY', '', 'S3 secret key; goes with S3_ACCESS_KEY_ID'),
  s3SessionToken: secret('S3_SESSION_TOKEN', '', 'session token of a temporary S3 key; it is not renewed'),
  databaseUrl: secret('DATABASE_URL', '', 'PostgreSQL connection URL; empty = a local server'),

  host: text('HOST', '127.0.0.1', 'address the HTTP servers bind'),
  webPort: integer('WEB_PORT', 3000, 0, 65535, 'port of the one origin: pages, API and gateway'),
  webOrigins: list(
    'WEB_ORIGINS',
    '',
    'origins of the pages that upload, for CORS of the bucket; empty = left as it is',
  ),
  kafkaPort: integer('KAFKA_PORT', 19092, 1, 65534, 'port of the local broker; its controller takes the next one'),
  registryPort: integer('REGISTRY_PORT', 18081, 1, 65535, 'port of the local schema registry'),
  s3Port: integer('S3_PORT', 19000, 1, 65535, 'port of the local S3 server'),
  postgresPort: integer('POSTGRES_PORT', 15432, 1, 65535, 'port of the local PostgreSQL'),
  processorsPort: integer('PROCESSORS_PORT', 3101, 0, 65535, 'health port of the processors'),
  workersPort: integer('WORKERS_PORT', 3102, 0, 65535, 'health port of the transcode workers'),
  projectionsPort: integer('PROJECTIONS_PORT', 3103, 0, 65535, 'health port of the projections'),

  appId: text('APP_ID', 'reelstream', 'prefix of transactional ids; one per deployment on a broker'),
  instanceId: text('INSTANCE_ID', '', 'name of this process in its consumer groups; empty = host and pid'),
  videoPartitions: integer('VIDEO_PARTITIONS', 4, 1, 1024, 'partitions of video-intake and video-events'),
  lanes: integer('TRANSCODE_LANES', 4, 1, 1024, 'partitions of transcode-jobs: at most this many worker processes'),
  replicationFactor: integer('KAFKA_REPLICATION_FACTOR', 1, 1, 7, 'replicas of every topic that we create'),

  jwtSecret: secret('JWT_SECRET', '', 'HS256 secret (32 characters or more) that author tokens are checked with'),
  jwksUrl: text('JWKS_URL', '', 'JWKS of an identity provider; takes the place of JWT_SECRET, needs JWT_AUDIENCE'),
  jwtAudience: text(
    'JWT_AUDIENCE',
    '',
    '`aud` that tokens of JWKS_URL must have: this product, as the provider names it',
  ),
  jwtIssuer: text('JWT_ISSUER', '', '`iss` that tokens of JWKS_URL must have; empty = any that these keys sign for'),
  uploadHandleSecret: secret(
    'UPLOAD_HANDLE_SECRET',
    '',
    'secret (32 characters or more) that upload handles are signed with, one for all gateways; empty = JWT_SECRET',
  ),
  trustedProxies: {
    ...list(
      'TRUSTED_PROXIES',
      'loopback,uniquelocal',
      'proxies whose X-Forwarded-For and -Proto count: addresses, CIDRs, loopback, linklocal, uniquelocal',
    ),
    parse: (s: string): readonly string[] => {
      const rules = s.split(',').flatMap((item) => item.trim() || [])
      const wrong = rules.find((rule) => !isProxyRule(rule))
      if (wrong === undefined) return rules
      throw new Error(`expected an address, a CIDR, loopback, linklocal or uniquelocal, got "${wrong}"`)
    },
  },
  failedSignInsPerMinute: integer(
    'FAILED_SIGN_INS_PER_MINUTE',
    // An office behind one address whose tokens ended overnight.
    600,
    1,
    1_000_000,
    'requests with a bad token, or without one where it is needed, from one address (IPv6: /64) to one process in a minute',
  ),
  localSignIn: flag('LOCAL_SIGN_IN', false, 'one-click sign-in for a single machine; never on a public address'),
  maxUploadBytes: integer('MAX_UPLOAD_BYTES', 5 * TiB, 1, 5 * TiB, 'largest file that may be uploaded, bytes'),
  partSizeBytes: integer('PART_SIZE_BYTES', 8 * MiB, 5 * MiB, MAX_PART_SETTING, 'smallest part of an upload, bytes'),
  unsizedPartSizeBytes: integer(
    'UNSIZED_PART_SIZE_BYTES',
    16 * MiB,
    5 * MiB,
    MAX_PART_SETTING,
    'part of an upload of unknown length, bytes; 10,000 of them are its largest file',
  ),
  maxOpenUploads: integer('MAX_OPEN_UPLOADS', 1000, 1, 1_000_000, 'uploads that one author may have open'),
  maxOpenBytes: integer(
    'MAX_OPEN_UPLOAD_BYTES',
    20 * TiB,
    1,
    1024 * TiB,
    'bytes that the open uploads of one author may have together',
  ),
  gatewayUrl: text('GATEWAY_URL', '', 'gateway and API that the command line talks to; empty = the one running here'),
  authorToken: secret('AUTHOR_TOKEN', '', 'token that the command line signs in with; empty = the local author'),
  stateDir: text('XDG_STATE_HOME', '', 'folder where the command line remembers open uploads; empty = ~/.local/state'),
  callerDir: text('INIT_CWD', '', 'folder that file names on the command line begin in; npm sets it; empty = here'),
  uploadExpiryHours: number('UPLOAD_EXPIRY_HOURS', 24, 0.001, 24 * 30, 'hours until an unfinished upload is aborted'),
  reconcileMinutes: number(
    'RECONCILE_MINUTES',
    60,
    0,
    7 * 24 * 60,
    'minutes between two comparisons of S3 with the log by each gateway; 0 = only on command',
  ),
  reconcileGraceMinutes: number(
    'RECONCILE_GRACE_MINUTES',
    24 * 60,
    0.001,
    30 * 24 * 60,
    'minutes for which the reconciler touches nothing that is new; below 30 it may abort what is just being begun',
  ),
  keepDeletedDays: integer('KEEP_DELETED_DAYS', 7, 0, 3650, 'days that the objects of a deleted video are kept'),
  importSources: list(
    'IMPORT_SOURCES',
    '',
    'bucket or bucket/prefix a producer may import from; * = any; with " for <ce_source>" behind it only that producer',
  ),
  importNetworks: list(
    'IMPORT_NETWORKS',
    '',
    'CIDRs that `reelstream import https://…` may connect to though they are private, e.g. 10.1.0.0/16',
  ),

  ffmpegPath: text('FFMPEG_PATH', 'ffmpeg', 'the ffmpeg to run'),
  ffprobePath: text('FFPROBE_PATH', 'ffprobe', 'the ffprobe to run'),
  encoderThreads: integer('ENCODER_THREADS', 4, 1, 64, 'threads of each encoder; another count gives other bytes'),
  workerSlots: integer('WORKER_SLOTS', 1, 1, 64, 'video jobs that one worker process runs at a time'),
} satisfies Record<string, Setting<unknown>>

export type Config = { readonly [Name in keyof typeof SETTINGS]: ReturnType<(typeof SETTINGS)[Name]['parse']> }

/** Reads and checks every setting. Throws one ConfigError (CONFIG_INVALID) that names all problems. */
export const readConfig = (env: Readonly<Record<string, string | undefined>> = process.env): Config => {
  const problems: string[] = []
  const values: Record<string, unknown> = {}
  for (const [name, setting] of Object.entries(SETTINGS)) {
    try {
      values[name] = setting.parse(env[setting.env] ?? setting.fallback)
    } catch (error) {
      problems.push(`${setting.env}: ${(error as Error).message}`)
    }
  }
  if (problems.length > 0)
    throw new ConfigError('CONFIG_INVALID', `Settings that cannot be used:\n${problems.join('\n')}`)
  return Object.freeze(values) as Config
}

/** The environment for a child process: ours, with these settings in it. Secrets travel here and never in argv. */
export const childEnvironment = (settings: Readonly<Record<string, string>>): NodeJS.ProcessEnv => ({
  ...process.env,
  ...settings,
})

/** Throws unless each named setting has a value. For composition roots that cannot start without them. */
export const requireSettings = (config: Config, names: readonly (keyof Config)[]): void => {
  const missing = names.filter(
    (name) => config[name] === '' || (Array.isArray(config[name]) && config[name].length === 0),
  )
  if (missing.length === 0) return
  const lines = missing.map((name) => `${SETTINGS[name].env}: ${SETTINGS[name].doc}`)
  throw new ConfigError('CONFIG_MISSING', `Settings that this process cannot start without:\n${lines.join('\n')}`)
}
