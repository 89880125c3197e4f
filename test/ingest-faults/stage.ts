import { createHash, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { BugError } from '../../platform/errors.ts'
import { createPresignClient, createS3Client, type S3Client } from '../../storage/s3-client.ts'
import { type FaultProxy, startFaultProxy } from '../../storage/testing/fault-proxy.ts'
import { openRoles, type RoleProcess, type Roles } from '../chaos/roles.ts'
import { type Gate, startGate } from './gate.ts'

/**
 * The product on real servers of its own, with gates where faults happen: all bytes of clients pass one on their way to
 * S3, all of Postgres another. One file is uploaded again and again.
 */
export interface Stage {
  readonly roles: Roles
  /** Clients to S3. */
  readonly line: Gate
  /** Everybody to Postgres. */
  readonly database: Gate
  /** Lies behind the line in trials that ask for it (`throughProxy`). */
  readonly proxy: FaultProxy
  /** Some parts more than connections. */
  readonly source: Source
  /** Several times as many. */
  readonly longSource: Source
  readonly s3: S3Client
  readonly presigner: S3Client
  /** Where clients keep what they remember. */
  readonly folder: string
  /** How long a server is away, ms. */
  readonly awayMs: number
  /** Parts that a client may have on their way. */
  readonly connections: number
  readonly partSizeBytes: number
  /** The line leads through the proxy until this trial is over. */
  throughProxy(): void
  /** Straight to S3 again; counts anew. */
  reset(): void
  /** kill -9 of a role; it is started again, as npm start does. */
  killRole(name: RoleName): Promise<void>
  /** Roles that ended by themselves, in order. */
  readonly deaths: readonly string[]
}

export interface Source {
  readonly file: string
  readonly sizeBytes: number
  /** Hex. */
  readonly sha256: string
}

export type RoleName = (typeof ROLES)[number]

/** Nobody encodes: the file is no video, and what follows its completion is another matter. */
const ROLES = ['processors', 'projections', 'front'] as const
const MiB = 1024 * 1024
/** The smallest that S3 takes, https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html */
const PART_BYTES = 5 * MiB
const SOURCE_BYTES = 6 * PART_BYTES + MiB + 7
const LONG_SOURCE_BYTES = 24 * PART_BYTES + MiB + 7
const CONNECTIONS = 3
export const BUCKET = 'reelstream-media'

export const openStage = async (
  t: { teardown(end: () => Promise<void>): void },
  { awayMs }: { readonly awayMs: number },
): Promise<Stage> => {
  const folder = await mkdtemp(path.join(tmpdir(), 'reelstream-faults-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  let line: Gate | undefined
  let database: Gate | undefined
  const roles = await openRoles(t, {
    restartServers: true,
    detours: async ({ S3_ENDPOINT = '', DATABASE_URL = '' }) => {
      line = await startGate(Number(new URL(S3_ENDPOINT).port))
      const behind = new URL(DATABASE_URL)
      database = await startGate(Number(behind.port))
      behind.port = String(database.port)
      return {
        S3_PUBLIC_ENDPOINT: `http://127.0.0.1:${line.port}`,
        DATABASE_URL: behind.href,
        PART_SIZE_BYTES: String(PART_BYTES),
        LOG_LEVEL: 'warn',
      }
    },
  })
  if (line === undefined || database === undefined) throw new BugError('NO_DETOURS', 'nobody asked for the detours')
  const gates = { line, database }
  const { S3_ENDPOINT: endpoint = '', S3_ACCESS_KEY_ID = '', S3_SECRET_ACCESS_KEY = '' } = roles.env
  const proxy = await startFaultProxy(endpoint)
  const settings = {
    endpoint,
    publicEndpoint: `http://127.0.0.1:${line.port}`,
    region: 'us-east-1',
    accessKeyId: S3_ACCESS_KEY_ID,
    secretAccessKey: S3_SECRET_ACCESS_KEY,
  }
  const s3 = createS3Client(settings)
  const presigner = createPresignClient(settings)
  t.teardown(async () => {
    s3.destroy()
    presigner.destroy()
    await Promise.all([gates.line.close(), gates.database.close(), proxy.close()])
  })
  const kept = await keepRunning(t, roles)
  return {
    ...{ roles, proxy, s3, presigner, folder, awayMs, ...gates, ...kept },
    source: makeSource(folder, 'source.bin', SOURCE_BYTES),
    longSource: makeSource(folder, 'long-source.bin', LONG_SOURCE_BYTES),
    connections: CONNECTIONS,
    partSizeBytes: PART_BYTES,
    throughProxy: () => {
      gates.line.target = portOf(proxy.endpoint)
    },
    reset: () => {
      proxy.decide = () => undefined
      gates.line.target = portOf(endpoint)
      gates.line.countAnew()
    },
  }
}

const portOf = (url: string): number => Number(new URL(url).port)

const makeSource = (folder: string, name: string, sizeBytes: number): Source => {
  const file = path.join(folder, name)
  const bytes = randomBytes(sizeBytes)
  writeFileSync(file, bytes)
  return { file, sizeBytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }
}

const RESTART_AFTER_MS = 250

/** As local/supervise.ts keeps them: what ends is started again. */
const keepRunning = async (t: { teardown(end: () => Promise<void>): void }, roles: Roles) => {
  const running = new Map<string, RoleProcess>()
  const wanted = new Set<string>()
  const deaths: string[] = []
  let isOver = false
  const watch = async (name: string): Promise<void> => {
    for (let process = running.get(name); process !== undefined; process = running.get(name)) {
      await process.exited
      if (isOver) return
      if (!wanted.delete(name)) deaths.push(name)
      await delay(RESTART_AFTER_MS)
      running.set(name, roles.launch(name))
    }
  }
  for (const role of await Promise.all(ROLES.map((name) => roles.start(name)))) {
    running.set(role.name, role)
    void watch(role.name)
  }
  // Registered last, so it comes before the end of the roles.
  t.teardown(async () => {
    isOver = true
  })
  const killRole = async (name: RoleName): Promise<void> => {
    wanted.add(name)
    running.get(name)?.signal('SIGKILL')
    await running.get(name)?.exited
  }
  return { killRole, deaths }
}
