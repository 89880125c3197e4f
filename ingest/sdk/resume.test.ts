import { createHash, randomBytes } from 'node:crypto'
import t from 'tap'
import { createUpload, fingerprintOf, storageMemory, type UploadOptions, type UploadProgress } from './index.ts'
import {
  completedWith,
  fakeServers,
  json,
  PART,
  problem,
  recorded,
  type Servers,
  webStorage,
  whole,
} from './testing/servers.ts'

const source = (bytes: Uint8Array, lastModified = 1) =>
  new File([new Uint8Array(bytes)], 'holiday.mp4', { type: 'video/mp4', lastModified })

const start = (
  bytes: Uint8Array | ReadableStream<Uint8Array>,
  servers: Servers,
  options: Partial<UploadOptions> = {},
) =>
  createUpload(bytes instanceof Uint8Array ? source(bytes) : bytes, {
    gatewayUrl: 'http://gateway',
    token: 'author',
    details: { title: 'Holiday' },
    fetch: servers.fetch,
    ...options,
  })

const storage = () => {
  const items = webStorage()
  return { items, memory: storageMemory(() => items) }
}

const keysOf = (servers: Servers) =>
  servers.calls
    .filter(({ step }) => step === 'create')
    .map(({ init }) => (init.headers as Record<string, string>)['idempotency-key'])

/** Uploads until so many parts are reported, then the process "dies". */
const dieAfter = async (parts: number, bytes: Uint8Array, servers: Servers, options: Partial<UploadOptions>) => {
  const upload = start(bytes, servers, { ...options, parallel: 1 })
  servers.onReport = () => {
    if (servers.reported.size >= parts) upload.interrupt()
  }
  await upload.done.catch(() => undefined)
  servers.onReport = () => {}
  t.equal(upload.state, 'interrupted')
}

t.test('the same file goes on where it was: what is stored is compared, not sent', async (t) => {
  const bytes = randomBytes(9500)
  const servers = fakeServers(9500)
  const { memory } = storage()
  await dieAfter(6, bytes, servers, { memory })
  const before = servers.count('put')
  const again = start(bytes, servers, { memory })
  const progress: UploadProgress[] = []
  const resumed: object[] = []
  again.on('progress', (value) => progress.push(value))
  again.on('resumed', (value) => resumed.push(value))
  await again.done
  t.ok(whole(servers).equals(bytes))
  t.equal(new Set(keysOf(servers)).size, 1, 'one upload')
  t.same(resumed, [{ storedParts: 6, storedBytes: 6000 }])
  t.ok(servers.count('put') - before <= 4, `${servers.count('put') - before} of 10 parts sent again`)
  t.match(progress.at(-1), { sentBytes: 9500, resumedBytes: 6000, totalBytes: 9500 })
  t.equal(servers.count('list'), 2 + 4, 'three a page: six parts in the beginning, ten at the end')
})

t.test('one that waits for the bytes of a stream is interrupted at once', async (t) => {
  const silence = new ReadableStream<Uint8Array>({ pull: () => new Promise(() => {}) })
  const waiting = start(silence, fakeServers(0))
  setImmediate(() => waiting.interrupt())
  await t.rejects(waiting.done, { code: 'INTERRUPTED' }, 'for the first')
  const servers = fakeServers(0)
  let given = 0
  const stalling = new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      if (given === 2500) return new Promise(() => {})
      given += 500
      controller.enqueue(new Uint8Array(500))
    },
  })
  const begun = start(stalling, servers, { idempotencyKey: 'k' })
  servers.onReport = () => {
    if (servers.reported.size === 2) setImmediate(() => begun.interrupt())
  }
  await t.rejects(begun.done, { code: 'INTERRUPTED' }, 'for the next')
  t.equal(begun.state, 'interrupted')
  t.equal(begun.idempotencyKey, 'k')
  t.equal(servers.count('abort'), 0)
})

t.test('of a source that its key names, a stored part is not read again', async (t) => {
  const bytes = randomBytes(5000)
  const begin = async (parallel: number) => {
    const servers = fakeServers(5000)
    const read: number[] = []
    const named = {
      size: bytes.length,
      isNamedByKey: true,
      slice: (start: number, end: number) => {
        read.push(start / PART + 1)
        return { arrayBuffer: async () => new Uint8Array(bytes.subarray(start, end)).buffer }
      },
    }
    const options = {
      gatewayUrl: 'http://gateway',
      token: 'author',
      details: { title: 'A' },
      idempotencyKey: 'k',
      parallel,
    }
    const go = () => createUpload(named, { ...options, fetch: servers.fetch, lookAgainMs: 1 })
    const first = go()
    servers.onReport = () => {
      if (servers.reported.size >= 2) first.interrupt()
    }
    await first.done.catch(() => undefined)
    servers.onReport = () => {}
    read.length = 0
    const missing = [1, 2, 3, 4, 5].filter((partNumber) => !servers.reported.has(partNumber))
    return { servers, read, go, missing }
  }

  t.test('and the rest is', async (t) => {
    const { servers, read, go, missing } = await begin(1)
    const again = go()
    const progress: UploadProgress[] = []
    again.on('progress', (value) => progress.push(value))
    await again.done
    t.same([...new Set(read)].sort(), missing)
    t.ok(whole(servers).equals(bytes))
    t.match(progress.at(-1), { sentBytes: 5000, resumedBytes: 2000 })
  })

  t.test('one of another length than planned is', async (t) => {
    const { servers, read, go, missing } = await begin(1)
    const [partNumber = 0, part] = [...servers.reported][1] ?? []
    if (part !== undefined) servers.reported.set(partNumber, { ...part, sizeBytes: 999 })
    await go().done
    t.same([...new Set(read)].sort(), [...missing, partNumber].sort())
    t.ok(whole(servers).equals(bytes))
  })

  t.test('it fails when somebody else sent other bytes in the end', async (t) => {
    const { servers, go } = await begin(1)
    servers.onReport = () => {
      if (servers.reported.size === 5) servers.reported.set(1, { etag: 'e', sizeBytes: PART, checksumSha256: 'other' })
    }
    await t.rejects(go().done, { code: 'FILE_DIFFERS' })
  })
})

t.test('a part that the server has with other bytes is sent again', async (t) => {
  const bytes = randomBytes(5000)
  const servers = fakeServers(5000)
  const { memory } = storage()
  await dieAfter(3, bytes, servers, { memory })
  const changed = Buffer.from(bytes)
  changed.writeUInt8(changed.readUInt8(1500) ^ 1, 1500)
  await start(changed, servers, { memory }).done
  t.ok(whole(servers).equals(changed))
  t.equal(servers.reported.get(2)?.checksumSha256, checksum(changed.subarray(1000, 2000)))
})

t.test('two that go on with one upload send next to nothing twice', async (t) => {
  const bytes = randomBytes(40_000)
  for (let i = 0; i < 3; i++) {
    const servers = fakeServers(40_000)
    await dieAfter(4, bytes, servers, { idempotencyKey: 'k' })
    const before = servers.stored.size
    const sent = servers.count('put')
    const uploads = [1, 2].map(() => start(bytes, servers, { idempotencyKey: 'k', parallel: 3 }))
    const last: UploadProgress[] = []
    uploads.forEach((upload, who) => {
      upload.on('progress', (progress) => {
        last[who] = progress
      })
    })
    await Promise.all(uploads.map(({ done }) => done))
    t.ok(whole(servers).equals(bytes))
    const twice = servers.count('put') - sent - (40 - before)
    t.ok(twice <= 3 + 1, `${twice} of ${40 - before} parts were sent twice`)
    t.match(last, Array(2).fill({ sentBytes: 40_000, totalBytes: 40_000, etaMs: 0 }))
  }
})

t.test('a part that somebody else may be sending has its turn at the end, of a stream in its place', async (t) => {
  const order = async (source: Uint8Array | ReadableStream<Uint8Array>, signedMsAgo = 0) => {
    const servers = fakeServers(source instanceof Uint8Array ? source.length : 0)
    if (!(source instanceof Uint8Array)) servers.partCount = null
    for (const partNumber of [1, 3]) servers.signedAtMs.set(partNumber, performance.now() - signedMsAgo)
    const startedMs = performance.now()
    await start(source, servers, { parallel: 1 }).done
    const sent = servers.calls.filter(({ step }) => step === 'put').map(({ url }) => Number(url.split('/').at(-1)))
    return { sent, tookMs: performance.now() - startedMs }
  }
  const bytes = randomBytes(4500)
  const ofFile = await order(bytes)
  t.same(ofFile.sent, [2, 4, 5, 1, 3])
  t.ok(ofFile.tookMs >= 1000, 'whoever took it was waited for')
  t.same((await order(bytes.subarray(0, 900))).sent, [1], 'there is no other')
  t.same((await order(streamOf(bytes, 333))).sent, [1, 2, 3, 4, 5])
  t.same((await order(bytes, 1000)).sent, [1, 2, 3, 4, 5], 'long ago')
})

t.test('a part that somebody else is sending is waited for, and not sent', async (t) => {
  const bytes = randomBytes(900)
  const servers = fakeServers(900)
  servers.signedAtMs.set(1, performance.now())
  servers.fault = ({ step }, nth) => {
    if (step === 'sign' && nth === 2) completedWith(servers, bytes)
    return undefined
  }
  await start(bytes, servers).done
  t.equal(servers.count('put'), 0)
  t.equal(servers.count('sign'), 2)
})

t.test('a part that others recorded is neither sent nor reported, also when it is to be sent again', async (t) => {
  const bytes = randomBytes(2500)
  const servers = fakeServers(2500)
  const others = (partNumber: number) => {
    const part = bytes.subarray((partNumber - 1) * PART, partNumber * PART)
    servers.reported.set(partNumber, { etag: 'e', sizeBytes: part.length, checksumSha256: checksum(part) })
    servers.stored.set(partNumber, new Uint8Array(part))
  }
  others(1)
  servers.fault = ({ step, url }, nth) => {
    if (step !== 'put' || nth > 1) return undefined
    // Somebody else was faster.
    others(Number(url.split('/').at(-1)))
    return new Response('', { status: 500 })
  }
  let last: UploadProgress | undefined
  const upload = start(bytes, servers, { parallel: 1 })
  upload.on('progress', (progress) => {
    last = progress
  })
  await upload.done
  t.equal(servers.count('put'), 2, 'one that failed, and the last')
  t.equal(servers.count('report'), 1)
  t.match(last, { sentBytes: 2500, resumedBytes: 2000, totalBytes: 2500 })
  t.ok(whole(servers).equals(bytes))
})

t.test('a connection reports its part before it sends another one, and has that one signed meanwhile', async (t) => {
  const servers = fakeServers(3000)
  const told = Promise.withResolvers<void>()
  const fetch: typeof globalThis.fetch = async (url, init) => {
    const isReport = String(url).endsWith('/parts') && init?.method === 'POST'
    if (isReport) await told.promise
    return servers.fetch(String(url), init)
  }
  const upload = start(randomBytes(3000), servers, { fetch, parallel: 1 })
  while (servers.count('sign') < 2) await new Promise(setImmediate)
  for (let i = 0; i < 20; i++) await new Promise(setImmediate)
  t.equal(servers.count('put'), 1)
  told.resolve()
  await upload.done
  t.equal(servers.count('put'), 3)
})

t.test('the key is written down before the server hears of it, and forgotten at the end', async (t) => {
  const servers = fakeServers(2500)
  const { memory } = storage()
  let known: readonly string[] = []
  servers.fault = ({ step }) => {
    if (step === 'create') void memory.all().then((all) => (known = all.map((upload) => upload.idempotencyKey)))
    return undefined
  }
  const upload = start(randomBytes(2500), servers, { memory })
  await upload.done
  t.same(known, keysOf(servers))
  t.equal(upload.idempotencyKey, known[0])
  t.same(await memory.all(), [])
})

t.test('an upload that was aborted or cancelled is forgotten; one that merely failed is not', async (t) => {
  const aborted = storage()
  const servers = fakeServers(2500)
  servers.status = { status: 'aborted', code: 'UPLOAD_EXPIRED' }
  servers.partCount = 99
  await t.rejects(start(randomBytes(2500), servers, aborted).done, { code: 'UPLOAD_EXPIRED' })
  t.same(await aborted.memory.all(), [])

  const failed = storage()
  const refusing = fakeServers(2500)
  refusing.fault = ({ step }) => (step === 'sign' ? problem(403, 'FORBIDDEN') : undefined)
  await t.rejects(start(randomBytes(2500), refusing, failed).done, { code: 'FORBIDDEN' })
  t.match(await failed.memory.all(), [{ uploadId: 'v1', details: { title: 'Holiday' }, sizeBytes: 2500 }])

  const cancelled = storage()
  const slow = fakeServers(2500)
  const upload = start(randomBytes(2500), slow, cancelled)
  await new Promise<void>((resolve) => void upload.on('created', () => resolve()))
  await upload.cancel()
  t.same(await cancelled.memory.all(), [])
})

t.test('what the server refused to begin is forgotten, unless time or a new token may cure it', async (t) => {
  const remembered = async (status: number, code: string) => {
    const { items, memory } = storage()
    const servers = fakeServers(10)
    servers.fault = ({ step }) => (step === 'create' ? problem(status, code) : undefined)
    await t.rejects(start(randomBytes(10), servers, { memory }).done, { code })
    return items.length
  }
  t.equal(await remembered(400, 'VALIDATION_FAILED'), 0)
  t.equal(await remembered(422, 'FILE_TOO_LARGE'), 0)
  t.equal(await remembered(429, 'UPLOAD_QUOTA_EXCEEDED'), 0)
  t.equal(await remembered(401, 'UNAUTHENTICATED'), 1)
})

t.test('an upload that was begun is remembered whatever the server answers later', async (t) => {
  const { items, memory } = storage()
  const bytes = randomBytes(3000)
  const servers = fakeServers(3000)
  await dieAfter(1, bytes, servers, { memory })
  servers.fault = ({ step }) => (step === 'create' ? problem(403, 'FORBIDDEN') : undefined)
  await t.rejects(start(bytes, servers, { memory }).done, { code: 'FORBIDDEN' })
  t.equal(items.length, 1)
})

t.test('a remembered key that leads nowhere is forgotten, and the upload begins anew', async (t) => {
  const bytes = randomBytes(2500)
  const cases = {
    'its upload was given up': (servers: Servers) => {
      servers.fault = ({ step }, nth) => {
        servers.created = step === 'create' && nth === 1 ? 'aborted' : 'open'
        return undefined
      }
    },
    'it was for other details': (servers: Servers) => {
      servers.fault = ({ step }, nth) =>
        step === 'create' && nth === 1 ? problem(422, 'IDEMPOTENCY_KEY_REUSED') : undefined
    },
  }
  for (const [what, arrange] of Object.entries(cases)) {
    const { memory } = storage()
    const servers = fakeServers(2500)
    arrange(servers)
    const fingerprint = 'mine'
    const details = { title: 'x' }
    await memory.remember({
      ...{ fingerprint, idempotencyKey: 'old', uploadId: 'v0', details, sizeBytes: 1 },
      ...{ beganAtMs: Date.now(), expiresAtMs: Date.now() + 1000 },
    })
    await start(bytes, servers, { memory, fingerprint }).done
    const [first, second] = keysOf(servers)
    t.equal(first, 'old', what)
    t.not(second, 'old', what)
    t.ok(whole(servers).equals(bytes), what)
  }
})

t.test('a memory that does not work is said once, and the upload goes on', async (t) => {
  const full = () => {
    throw new Error('quota')
  }
  const servers = fakeServers(2500)
  const memory = storageMemory(() => ({ ...webStorage(), getItem: full, setItem: full, removeItem: full }))
  const upload = start(randomBytes(2500), servers, { memory })
  const said: string[] = []
  upload.on('unremembered', ({ code }) => said.push(code))
  await upload.done
  t.same(said, ['MEMORY_FAILED'])
})

t.test('interrupting ends it here and leaves it open there', async (t) => {
  const servers = fakeServers(6000)
  const upload = start(randomBytes(6000), servers, { parallel: 1 })
  await new Promise<void>((resolve) => void upload.on('progress', () => resolve()))
  upload.interrupt()
  await t.rejects(upload.done, { code: 'INTERRUPTED' })
  t.equal(upload.state, 'interrupted')
  t.equal(servers.count('abort'), 0)
})

const streamOf = (bytes: Uint8Array, pieceBytes: number): ReadableStream<Uint8Array> => {
  let at = 0
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close()
      controller.enqueue(bytes.subarray(at, at + pieceBytes))
      at += pieceBytes
    },
  })
}

t.test('a stream goes as its bytes come, and is sealed at its end', async (t) => {
  for (const [sizeBytes, pieceBytes] of [
    [4500, 333],
    [4000, 1000],
    [10, 1],
    [5001, 5001],
  ] as const) {
    const bytes = randomBytes(sizeBytes)
    const servers = fakeServers(0)
    servers.partCount = null
    const totals = new Set<number | null>()
    const upload = start(streamOf(bytes, pieceBytes), servers)
    upload.on('progress', ({ totalBytes }) => totals.add(totalBytes))
    await upload.done
    t.ok(whole(servers).equals(bytes), `${sizeBytes} bytes`)
    t.notOk('sizeBytes' in (servers.calls[0]?.body ?? {}))
    const seal = servers.calls.find(({ step }) => step === 'seal')
    t.same(seal?.body, { partCount: Math.ceil(sizeBytes / 1000), sizeBytes })
    t.same([...totals], [null, sizeBytes])
  }
})

t.test('a stream without a byte begins nothing', async (t) => {
  const servers = fakeServers(0)
  await t.rejects(start(streamOf(new Uint8Array(), 1), servers).done, { code: 'EMPTY_FILE' })
  t.equal(servers.calls.length, 0)
})

t.test('a stream with the same key again skips what is stored', async (t) => {
  const bytes = randomBytes(5500)
  const servers = fakeServers(0)
  servers.partCount = null
  const first = start(streamOf(bytes, 700), servers, { idempotencyKey: 'mine', parallel: 1 })
  servers.onReport = () => {
    if (servers.reported.size === 3) first.interrupt()
  }
  await t.rejects(first.done, { code: 'INTERRUPTED' })
  servers.onReport = () => {}
  const before = servers.count('put')
  await start(streamOf(bytes, 700), servers, { idempotencyKey: 'mine' }).done
  t.ok(whole(servers).equals(bytes))
  t.ok(servers.count('put') - before <= 3)
})

/** Its completion finds another thing in S3 than was reported: those parts are parts no more. */
const reject = (servers: Servers, ...parts: readonly number[]): void => {
  for (const part of parts) servers.reported.delete(part)
  servers.rejections += 1
  servers.status = { status: 'open' }
}

t.test('a part that the server wants again is read again and sent, each time that it does', async (t) => {
  const bytes = randomBytes(4000)
  const servers = fakeServers(4000)
  servers.onReport = () => {
    if (servers.reported.size < 4) return
    if (servers.rejections === 0) reject(servers, 2, 3)
    else if (servers.rejections === 1) reject(servers, 3)
  }
  const upload = start(bytes, servers)
  const states: string[] = []
  upload.on('state', (state) => states.push(state))
  await upload.done
  t.ok(whole(servers).equals(bytes))
  t.equal(servers.count('put'), 7)
  t.same(states, ['completing', 'uploading', 'completing', 'uploading', 'completing', 'completed'])
})

t.test('what one rejection takes off the list bit by bit is all sent', async (t) => {
  const servers = fakeServers(4000)
  servers.onReport = () => {
    if (servers.reported.size < 4 || servers.count('put') === 6) return
    if (servers.rejections === 0) return reject(servers, 2)
    servers.reported.delete(3)
    servers.status = { status: 'open' }
  }
  await start(randomBytes(4000), servers, { lookAgainMs: 20 }).done
  t.equal(servers.count('put'), 6)
})

/** From now on nothing new is shown, before somebody has looked so many times. */
const standStill = (servers: Servers, looks: number): void => {
  servers.shown = recorded(servers)
  const until = servers.count('status') + looks
  servers.fault = ({ step }) => {
    if (step === 'status' && servers.count('status') > until) servers.shown = null
    return undefined
  }
}

t.test('a list that stands still is behind: nothing is sent twice, and no stream fails', async (t) => {
  const bytes = randomBytes(4000)
  const file = fakeServers(4000)
  standStill(file, 20)
  await start(bytes, file, { lookAgainMs: 20 }).done
  t.equal(file.count('put'), 4)

  const stream = fakeServers(0)
  stream.partCount = null
  standStill(stream, 20)
  await start(streamOf(bytes, 500), stream, { lookAgainMs: 20 }).done
  t.equal(stream.count('put'), 4)

  const again = fakeServers(4000)
  again.onReport = () => {
    if (again.reported.size < 4 || again.rejections === 1) return
    reject(again, 2)
    standStill(again, 20)
  }
  await start(bytes, again, { lookAgainMs: 20 }).done
  t.equal(again.count('put'), 5, 'what was wanted again neither')
})

t.test('a stream of which the server wants a part again fails', async (t) => {
  const lost = fakeServers(0)
  lost.partCount = null
  const { fetch } = lost
  lost.fetch = async (input, init) => {
    const answer = await fetch(input, init)
    if (String(input).endsWith('/seal')) reject(lost, 2)
    return answer
  }
  await t.rejects(start(streamOf(randomBytes(2500), 500), lost).done, { code: 'PART_LOST' })
})

t.test('a fingerprint is of the file and of what matters', async (t) => {
  const file = { name: 'a.mp4', size: 10, lastModified: 5 }
  const print = await fingerprintOf(file, 'gateway')
  t.match(print, /^[0-9a-f]{64}$/)
  t.equal(await fingerprintOf({ ...file }, 'gateway'), print)
  for (const other of [{ name: 'b.mp4' }, { size: 11 }, { lastModified: 6 }])
    t.not(await fingerprintOf({ ...file, ...other }, 'gateway'), print)
  t.not(await fingerprintOf(file, 'another'), print)
})

const checksum = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('base64')

t.test('a completion that takes long is asked for ever less often, also by who looks again meanwhile', async (t) => {
  const servers = fakeServers(2500)
  const openUntilMs = performance.now() + 1_000
  const open = { status: 'open', code: null, detail: null, sizeBytes: null, rejections: 0 }
  servers.fault = ({ step }) => (step === 'status' && performance.now() < openUntilMs ? json(200, open) : undefined)
  await start(randomBytes(2500), servers, { lookAgainMs: 100 }).done
  t.ok(servers.count('status') <= 25, `asked ${servers.count('status')} times in a second`)
})
