import { S3Client } from '@aws-sdk/client-s3'
import type { Config } from '../platform/config.ts'
import { ConfigError } from '../platform/errors.ts'

export type { S3Client } from '@aws-sdk/client-s3'

/**
 * The two S3 clients of the product. Only composition roots make them; everything else gets one as an argument.
 *
 * They differ in one setting that decides whether browsers can upload at all. Since 2025 the SDK adds a CRC32 of the
 * body to every write by default. When a URL is presigned there is no body yet, so the default client signs the CRC32
 * of ZERO bytes into the URL: a strict server answers 400 to every real part, a lenient one ignores it, and a test
 * against the lenient one never sees the bug. The presigning client therefore computes checksums only where the API
 * demands one (`WHEN_REQUIRED`); our own signed SHA-256 header guards the part instead (presign.ts).
 *
 * The other difference is the address: what is signed must be the address that the browser will call, which behind a
 * reverse proxy or in docker-compose is not the one that our own processes use.
 *
 * Neither client validates response checksums by itself (`WHEN_REQUIRED`): a range read has no checksum to compare,
 * and some servers send the checksum of the whole object with it. Whoever reads pins the bytes with `If-Match`.
 *
 * Permissions: docs/s3.md says which process makes which call, docs/s3-policy.json allows those and no others, and an
 * end-to-end test compares the two. So that a server's access log can be read in the same way, every client says in its
 * User-Agent which process it is of.
 *
 * Keys: those of the settings, else the AWS SDK's default chain (environment, shared files, web identity, container,
 * instance), which is how a process runs as an IAM role. The chain renews what it got in the last five minutes, while the
 * old key goes on signing.
 */
export interface S3Settings {
  /** URL of the S3 API as our processes reach it. */
  readonly endpoint: string
  /** URL of the S3 API as browsers reach it. */
  readonly publicEndpoint: string
  readonly region: string
  /** Empty, like the secret key: as the AWS SDK finds them. */
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** Of a temporary key. */
  readonly sessionToken?: string | undefined
  /** The process, e.g. `gateway`; in the User-Agent as `app/reelstream-gateway`. */
  readonly role?: string | undefined
}

/**
 * @param role the process that the client is made for
 * @throws ConfigError S3_SETTINGS: half a key
 */
export const s3SettingsOf = (config: Config, role?: string): S3Settings => {
  const { s3AccessKeyId: accessKeyId, s3SecretAccessKey: secretAccessKey, s3SessionToken: sessionToken } = config
  const isWhole = (accessKeyId === '') === (secretAccessKey === '') && (sessionToken === '' || accessKeyId !== '')
  if (!isWhole) {
    const rule = 'S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY go together, and S3_SESSION_TOKEN only with both.'
    throw new ConfigError('S3_SETTINGS', `${rule} Without any of them, keys are found as the AWS SDK does it.`)
  }
  return {
    role,
    endpoint: config.s3Endpoint,
    publicEndpoint: config.s3PublicEndpoint === '' ? config.s3Endpoint : config.s3PublicEndpoint,
    region: config.s3Region,
    accessKeyId,
    secretAccessKey,
    sessionToken,
  }
}

/** For every call that we make ourselves. Close it with `destroy()`. Makes no request. */
export const createS3Client = (settings: S3Settings): S3Client => client(settings, settings.endpoint, 'WHEN_SUPPORTED')

/**
 * For CompleteMultipartUpload alone: silence is borne for two hours, and nothing is tried twice. A second Complete beside
 * one that still runs is answered with nonsense (S3Proxy: BadDigest), and the first counts.
 */
export const createCompletingClient = (settings: S3Settings): S3Client =>
  client(settings, settings.endpoint, 'WHEN_SUPPORTED', { maxAttempts: 1, idleTimeoutMs: ASSEMBLING_TIMEOUT_MS })

/** Only for presign.ts: signs for the public address and never invents a checksum. Makes no request. */
export const createPresignClient = (settings: S3Settings): S3Client =>
  client(settings, settings.publicEndpoint, 'WHEN_REQUIRED')

/** The first try and three more, with the SDK's exponential back-off: 500, 503, throttling, resets, time-outs. */
const MAX_ATTEMPTS = 4
const CONNECT_TIMEOUT_MS = 5_000
/** Silence on an open connection. */
const IDLE_TIMEOUT_MS = 60_000
/**
 * Silence while a server assembles an object. AWS sends white space meanwhile; S3Proxy says nothing for 100 s when it
 * copies 10 GB on an ordinary disk.
 */
const ASSEMBLING_TIMEOUT_MS = 2 * 60 * 60_000
/** Above what one process has in flight at a time; the SDK's default of 50 makes readers queue behind each other. */
const MAX_SOCKETS = 256

const client = (
  settings: S3Settings,
  endpoint: string,
  requestChecksums: 'WHEN_SUPPORTED' | 'WHEN_REQUIRED',
  { maxAttempts, idleTimeoutMs } = { maxAttempts: MAX_ATTEMPTS, idleTimeoutMs: IDLE_TIMEOUT_MS },
) => {
  const agent = { keepAlive: true, maxSockets: MAX_SOCKETS }
  return new S3Client({
    endpoint,
    region: settings.region,
    ...(settings.role === undefined ? {} : { userAgentAppId: `reelstream-${settings.role}` }),
    ...(settings.accessKeyId === '' ? {} : { credentials: keyOf(settings) }),
    // Self-hosted servers have no wildcard DNS for bucket.host.
    forcePathStyle: true,
    maxAttempts,
    requestChecksumCalculation: requestChecksums,
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      socketTimeout: idleTimeoutMs,
      httpAgent: agent,
      httpsAgent: agent,
    },
  })
}

const keyOf = ({ accessKeyId, secretAccessKey, sessionToken = '' }: S3Settings) => ({
  accessKeyId,
  secretAccessKey,
  ...(sessionToken === '' ? {} : { sessionToken }),
})
