import { createHash } from 'node:crypto'

export const PART = 1000
const LIST_PAGE = 3
export const checksumOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('base64')
export const json = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json', ...headers } })
export const problem = (status: number, code: string) =>
  json(status, { status, code, detail: `${code}.` }, { 'retry-after': '0' })

export type Step = 'create' | 'sign' | 'put' | 'report' | 'list' | 'seal' | 'status' | 'abort'
export interface Call {
  readonly step: Step
  readonly url: string
  readonly init: RequestInit
  readonly body: Record<string, unknown>
}

interface PartToSign {
  readonly partNumber: number
  readonly sizeBytes: number
  readonly checksumSha256: string
  readonly unlessSignedWithinMs: number
}

/** Gateway and S3 behind one fetch. `fault` may answer in their place, or throw as a broken connection does. */
export const fakeServers = (sizeBytes: number) => {
  const servers = {
    calls: [] as Call[],
    stored: new Map<number, Uint8Array>(),
    reported: new Map<number, { etag: string; checksumSha256: string; sizeBytes: number }>(),
    status: { status: 'open' } as Record<string, unknown>,
    /** When each part was signed last. */
    signedAtMs: new Map<number, number>(),
    rejections: 0,
    /** What is shown in the place of what is reported, while the read model stands still. */
    shown: null as ReturnType<typeof recorded> | null,
    created: 'open',
    partsAtATime: 0,
    /** No part is answered before so many are on their way at once, however slow the machine is. */
    awaitedAtATime: 1,
    /** What the upload has in all; a stream's is known when it is sealed. */
    partCount: Math.ceil(sizeBytes / PART) as number | null,
    onReport: () => {},
    fault: (_call: Call, _nth: number): Response | undefined => undefined,
    count: (step: Step) => servers.calls.filter((call) => call.step === step).length,
    fetch: async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
      const url = String(input)
      const body = typeof init.body === 'string' ? JSON.parse(init.body) : {}
      const call = { step: stepOf(url), url, init, body }
      // As fetch does: no request is made.
      init.signal?.throwIfAborted()
      servers.calls.push(call)
      const fault = servers.fault(call, servers.count(call.step))
      if (fault !== undefined) return fault
      return answer(call)
    },
  }
  let inFlight = 0
  const status = () => {
    const { rejections, status } = servers.shown ?? servers
    return { code: null, detail: null, sizeBytes: null, rejections, ...status }
  }

  /** As the gateway says it. */
  const stateOf = ({ partNumber, sizeBytes, checksumSha256, unlessSignedWithinMs }: PartToSign): string => {
    const { reported } = servers.shown ?? servers
    const part = reported.get(partNumber)
    if (part?.sizeBytes === sizeBytes && part.checksumSha256 === checksumSha256) return 'recorded'
    const signedAtMs = servers.signedAtMs.get(partNumber) ?? Number.NEGATIVE_INFINITY
    if (performance.now() - signedAtMs < unlessSignedWithinMs) return 'taken'
    servers.signedAtMs.set(partNumber, performance.now())
    return 'free'
  }

  const answer = async ({ step, url, init, body }: Call): Promise<Response> => {
    if (step === 'create') {
      return json(201, {
        videoId: 'v1',
        uploadId: 'v1',
        status: servers.created,
        partSizeBytes: PART,
        partCount: servers.partCount,
        uploadToken: 'handle',
        expiresAtMs: Date.now() + 3_600_000,
        watchUrl: 'http://web/v/v1',
      })
    }
    if (step === 'sign') {
      const parts = (body.parts as PartToSign[]).map((part) => ({
        partNumber: part.partNumber,
        url: `http://s3/part/${part.partNumber}`,
        headers: { 'x-amz-checksum-sha256': part.checksumSha256 },
        state: stateOf(part),
      }))
      return json(200, { parts })
    }
    if (step === 'put') {
      inFlight += 1
      servers.partsAtATime = Math.max(servers.partsAtATime, inFlight)
      do await new Promise(setImmediate)
      while (servers.partsAtATime < servers.awaitedAtATime)
      inFlight -= 1
      init.signal?.throwIfAborted()
      const bytes = new Uint8Array(await new Response(init.body).arrayBuffer())
      const headers = init.headers as Record<string, string>
      if (checksumOf(bytes) !== headers['x-amz-checksum-sha256']) return new Response('', { status: 400 })
      servers.stored.set(Number(url.split('/').at(-1)), bytes)
      return new Response('', { status: 200, headers: { etag: `"${checksumOf(bytes).slice(0, 8)}"` } })
    }
    if (step === 'report') {
      for (const part of body.parts as {
        partNumber: number
        etag: string
        checksumSha256: string
        sizeBytes: number
      }[]) {
        servers.reported.set(part.partNumber, part)
      }
      if (servers.reported.size === servers.partCount) servers.status = { status: 'completed' }
      servers.onReport()
      return json(202, { parts: [] })
    }
    if (step === 'list') {
      const afterPart = Number(new URL(url).searchParams.get('afterPart'))
      const listed = [...(servers.shown ?? servers).reported].map(([partNumber, part]) => ({ ...part, partNumber }))
      const after = listed.filter((part) => part.partNumber > afterPart).sort((a, b) => a.partNumber - b.partNumber)
      const parts = after.slice(0, LIST_PAGE)
      const sizeBytes = listed.reduce((sum, part) => sum + part.sizeBytes, 0)
      return json(200, {
        ...status(),
        sizeBytes,
        parts,
        nextPart: after.length > LIST_PAGE ? parts.at(-1)?.partNumber : null,
      })
    }
    if (step === 'seal') {
      servers.partCount = body.partCount as number
      if (servers.reported.size === servers.partCount) servers.status = { status: 'completed' }
      return json(202, { claimId: 'c2' })
    }
    return step === 'status' ? json(200, status()) : json(202, { claimId: 'c1' })
  }
  return servers
}

type Reported = ReadonlyMap<number, { etag: string; checksumSha256: string; sizeBytes: number }>

/** As it is now, whatever follows. */
export const recorded = ({
  status,
  rejections,
  reported,
}: {
  status: object
  rejections: number
  reported: Reported
}) => ({
  status,
  rejections,
  reported: new Map(reported),
})

const stepOf = (url: string): Step => {
  if (url.startsWith('http://s3/')) return 'put'
  if (url.endsWith('/uploads')) return 'create'
  if (url.endsWith('/sign')) return 'sign'
  if (url.endsWith('/parts')) return 'report'
  if (url.endsWith('&limit=1')) return 'status'
  if (url.includes('/parts?')) return 'list'
  return url.endsWith('/seal') ? 'seal' : 'abort'
}

/** Makes the upload complete, as somebody else sent it: now, and for whoever comes with its key later. */
export const completedWith = (servers: Servers, bytes: Uint8Array): void => {
  for (let at = 0; at < bytes.length; at += PART) {
    const part = bytes.subarray(at, at + PART)
    const facts = { etag: 'e', sizeBytes: part.length, checksumSha256: checksumOf(part) }
    servers.reported.set(at / PART + 1, facts)
  }
  servers.status = { status: 'completed' }
  servers.created = 'completed'
}

/** The object, as S3 would put it together. */
export const whole = (servers: Servers): Buffer =>
  Buffer.concat([...servers.stored].sort(([a], [b]) => a - b).map(([, bytes]) => bytes))

export type Servers = ReturnType<typeof fakeServers>

/** A localStorage in memory. */
export const webStorage = () => {
  const items = new Map<string, string>()
  return {
    get length() {
      return items.size
    },
    key: (index: number) => [...items.keys()][index] ?? null,
    getItem: (name: string) => items.get(name) ?? null,
    setItem: (name: string, value: string) => void items.set(name, value),
    removeItem: (name: string) => void items.delete(name),
  }
}
