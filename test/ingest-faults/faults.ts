import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { fileSource } from '../../cli/file-source.ts'
import { createUpload } from '../../ingest/sdk/index.ts'
import { signalGroup } from '../../local/processes.ts'
import { systemClock } from '../../platform/clock.ts'
import { BugError } from '../../platform/errors.ts'
import { type PartToSign, presignPart } from '../../storage/presign.ts'
import type { S3Client } from '../../storage/s3-client.ts'
import type { Fault as ProxyFault } from '../../storage/testing/fault-proxy.ts'
import { until } from '../chaos/trial.ts'
import { type ClientEnd, startClient } from './client.ts'
import type { Stage } from './stage.ts'

/** Something that happens while a file is uploaded. */
export interface IngestFault {
  readonly title: string
  /** It is about how much is sent again of many parts: with the long source. */
  readonly isLong?: true
  run(stage: Stage): Promise<Happened>
}

export interface Happened {
  readonly videoId: string
  /** How often it happened. */
  readonly faults: number
  /** Bytes that may be sent again; by default one part for each connection and fault. */
  readonly allowedBytes?: number
}

/** In the middle of the upload, with parts on their way and parts stored, `strike` happens. */
const inTheMiddle = async (stage: Stage, strike: () => Promise<void>): Promise<Happened> => {
  const { line, source } = stage
  const held = line.holdAfter(source.sizeBytes / 2)
  const { ended } = startClient(stage, randomUUID())
  await Promise.race([held, ended.then(completed)])
  await strike()
  line.release()
  return { videoId: completed(await ended), faults: 1 }
}

const completed = ({ code, videoId, lastWords, lingeredMs }: ClientEnd): string => {
  if (lingeredMs > MAX_LINGER_MS) throw new BugError('CLIENT_LINGERS', `after its last word it lived ${lingeredMs} ms`)
  if (code === 0 && videoId !== undefined) return videoId
  throw new BugError('UPLOAD_FAILED', `the client ended with ${code}: ${lastWords}`)
}

/** A server that is away, for as long as the stage says; the line is free meanwhile. */
const awayInTheMiddle = (stage: Stage, leave: () => Promise<void>, comeBack: () => Promise<void>): Promise<Happened> =>
  inTheMiddle(stage, async () => {
    await leave()
    stage.line.release()
    await delay(stage.awayMs)
    await comeBack()
  })

/** What the proxy does to the nth PUT of a part, from 0. */
const throughProxy = async (stage: Stage, faultOf: (put: number) => ProxyFault | undefined): Promise<Happened> => {
  let puts = 0
  let faults = 0
  stage.throughProxy()
  stage.proxy.decide = ({ method, url }) => {
    if (method !== 'PUT' || !url.includes('partNumber=')) return undefined
    const fault = faultOf(puts++)
    if (fault !== undefined) faults += 1
    return fault
  }
  const videoId = completed(await startClient(stage, randomUUID()).ended)
  // Of a single PUT nobody else has to send anything again.
  return { videoId, faults, allowedBytes: faults * stage.partSizeBytes }
}

const TROUBLES: readonly ProxyFault[] = [
  { kind: 'status', status: 500 },
  { kind: 'status', status: 503 },
  { kind: 'lose-answer' },
]

const duplicatedReports = async ({ roles, source, connections }: Stage): Promise<Happened> => {
  const { GATEWAY_URL: gatewayUrl = '', AUTHOR_TOKEN: token = '' } = roles.env
  const said: (() => Promise<Response>)[] = []
  const twiceAndLate: typeof fetch = async (url, init) => {
    const say = () => fetch(url, init)
    if (init?.method !== 'POST' || !String(url).endsWith('/parts')) return say()
    said.push(say)
    // Those that are reported at the same time overtake each other.
    await delay(Math.random() * MAX_LATE_MS)
    const [answer] = await Promise.all([say(), ...said.map((earlier) => earlier())])
    return answer
  }
  const file = await fileSource(source.file)
  try {
    const details = { title: 'Reported twice' }
    const options = { gatewayUrl, token, details, parallel: connections, fetch: twiceAndLate }
    const { videoId } = await createUpload(file, options).done
    // And once more, when it is too late.
    await Promise.all(said.map((again) => again()))
    return { videoId, faults: said.length, allowedBytes: 0 }
  } finally {
    await file.close()
  }
}

const MAX_LATE_MS = 200

const SIGNATURE_SECONDS = 1
const HOLD_MS = 3_000

/**
 * The gateway's signatures, but for a second only, and a line that carries nothing for three: S3 itself refuses them, and
 * a client that still sends the part sees 403, or a connection that S3 has closed.
 */
const expiredSignatures = async (stage: Stage): Promise<Happened> => {
  const { roles, line, presigner, source, connections } = stage
  const { GATEWAY_URL: gatewayUrl = '', AUTHOR_TOKEN: token = '' } = roles.env
  let isHeld = true
  let refusals = 0
  void line.holdAfter(0)
  const release = async (): Promise<void> => {
    await delay(HOLD_MS)
    isHeld = false
    line.release()
  }
  let released: Promise<void> | undefined
  const expiring = new Set<string>()
  const signedShortly: typeof fetch = async (url, init) => {
    const isDoomed = expiring.has(String(url))
    const answer = await fetch(url, init).catch((error: unknown) => {
      if (isDoomed) refusals += 1
      throw error
    })
    if (isDoomed && !answer.ok) refusals += 1
    if (!isHeld || !answer.ok || !String(url).endsWith('/parts/sign')) return answer
    released ??= release()
    const { parts: wanted } = JSON.parse(String(init?.body)) as { parts: PartToSign[] }
    const { parts } = (await answer.json()) as { parts: { partNumber: number; url: string }[] }
    const shortLived = parts.map(async (part, i) => ({
      ...part,
      ...(await signShortly(presigner, part.url, wanted[i])),
    }))
    const signed = await Promise.all(shortLived)
    for (const part of signed) expiring.add(part.url)
    return Response.json({ parts: signed })
  }
  const file = await fileSource(source.file)
  try {
    const details = { title: 'Held up' }
    const options = { gatewayUrl, token, details, parallel: connections, fetch: signedShortly }
    const { videoId } = await createUpload(file, options).done
    // Each refusal is of one PUT.
    return { videoId, faults: refusals, allowedBytes: refusals * stage.partSizeBytes }
  } finally {
    await released
    await file.close()
  }
}

/** @param url what the gateway signed, which says of which multipart the part is */
const signShortly = (presigner: S3Client, url: string, part: PartToSign | undefined) => {
  if (part === undefined) throw new BugError('SIGNED_TOO_MANY', 'more parts were signed than were asked for')
  const { pathname, searchParams } = new URL(url)
  const [, bucket = '', ...key] = pathname.split('/')
  const ref = { bucket, key: key.join('/'), uploadId: searchParams.get('uploadId') ?? '' }
  return presignPart(presigner, ref, part, { expiresInSeconds: SIGNATURE_SECONDS, clock: systemClock })
}

/** Idle connections of fetch live for some seconds. */
const MAX_LINGER_MS = 10_000

const twoResume = async (stage: Stage): Promise<Happened> => {
  const { line, source } = stage
  const memory = randomUUID()
  const held = line.holdAfter(source.sizeBytes / 4)
  const first = startClient(stage, memory)
  await Promise.race([held, first.ended.then(completed)])
  await first.kill()
  const sentBefore = line.sentBytes()
  line.release()
  const ends = await Promise.all([startClient(stage, memory).ended, startClient(stage, memory).ended])
  const [videoId = '', other] = ends.map(completed)
  if (videoId !== other) throw new BugError('TWO_UPLOADS', `one made ${videoId}, the other ${other}`)
  // Two faults, each a part for each connection: the kill loses what was on its way, and no more than that; the second
  // client may meet the first on the last parts.
  const oneEach = stage.connections * stage.partSizeBytes
  const lost = sentBefore - Math.min(...ends.map(({ foundBytes }) => foundBytes))
  return { videoId, faults: 2, allowedBytes: oneEach + Math.min(lost, oneEach) }
}

export const FAULTS: readonly IngestFault[] = [
  {
    title: 'client killed -9, then the same command again',
    async run(stage) {
      const { line, connections, partSizeBytes } = stage
      const memory = randomUUID()
      // A connection has one part at most that is not recorded: of so many, one is.
      const held = line.holdAfter((connections + 1.5) * partSizeBytes)
      const first = startClient(stage, memory)
      await Promise.race([held, first.ended.then(completed)])
      await first.kill()
      line.release()
      const again = await startClient(stage, memory).ended
      if (again.foundBytes === 0) throw new BugError('NOT_RESUMED', 'nothing was found of what had been stored')
      return { videoId: completed(again), faults: 1 }
    },
  },
  { title: 'gateway killed -9', run: (stage) => inTheMiddle(stage, () => stage.killRole('front')) },
  {
    title: 'S3 killed -9',
    run: (stage) =>
      inTheMiddle(stage, async () => {
        const { s3 = 0 } = stage.roles.serverPids()
        signalGroup(s3, 'SIGKILL')
        await until('another S3 runs', () => stage.roles.serverPids().s3 !== s3)
      }),
  },
  {
    title: 'Kafka away',
    run: (stage) => {
      const [broker] = stage.roles.kafka.brokers
      if (broker === undefined) throw new BugError('NO_BROKER', 'there is no broker')
      return awayInTheMiddle(stage, broker.kill, broker.start)
    },
  },
  {
    title: 'Postgres away',
    run: (stage) =>
      awayInTheMiddle(
        stage,
        async () => stage.database.shut(),
        async () => stage.database.open(),
      ),
  },
  {
    title: 'a bit flipped on the way, in two parts',
    run: (stage) => throughProxy(stage, (put) => (put === 1 || put === 4 ? { kind: 'flip-bit' } : undefined)),
  },
  {
    title: '20 % of the PUTs answered 500, 503 or not at all',
    run: (stage) => throughProxy(stage, (put) => (put % 5 === 1 ? TROUBLES[Math.floor(Math.random() * 3)] : undefined)),
  },
  { title: 'signatures that expired while the line was held', run: expiredSignatures },
  { title: 'part reports repeated and reordered', run: duplicatedReports },
  { title: 'two clients go on with the same upload', isLong: true, run: twoResume },
]
