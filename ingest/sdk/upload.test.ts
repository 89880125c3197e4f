import { randomBytes } from 'node:crypto'
import { appendFileSync, openAsBlob } from 'node:fs'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import t from 'tap'
import { createUpload, storageMemory, type UploadOptions, type UploadProgress, type UploadState } from './index.ts'
import {
  checksumOf,
  completedWith,
  fakeServers,
  json,
  PART,
  problem,
  type Servers,
  type Step,
  webStorage,
  whole,
} from './testing/servers.ts'

const start = (bytes: Uint8Array, servers: Servers, options: Partial<UploadOptions> = {}) =>
  createUpload(new File([new Uint8Array(bytes)], 'holiday.mp4', { type: 'video/mp4' }), {
    gatewayUrl: 'http://gateway/',
    token: 'author',
    details: { title: 'Holiday' },
    fetch: servers.fetch,
    ...options,
  })

t.test('a file arrives as it is, in parts, with what the gateway needs to know', async (t) => {
  const bytes = randomBytes(4500)
  const servers = fakeServers(4500)
  const upload = start(bytes, servers)
  const progress: UploadProgress[] = []
  const states: UploadState[] = []
  upload.on('progress', (value) => progress.push(value))
  upload.on('state', (value) => states.push(value))
  t.same(await upload.done, { videoId: 'v1', watchUrl: 'http://web/v/v1', alreadyComplete: false })
  t.ok(whole(servers).equals(bytes))
  t.match(servers.calls[0], {
    url: 'http://gateway/uploads',
    init: { headers: { authorization: 'Bearer author', 'idempotency-key': /^[0-9a-f-]{36}$/ } },
    body: { title: 'Holiday', fileName: 'holiday.mp4', contentType: 'video/mp4', sizeBytes: 4500 },
  })
  t.match(servers.calls.find((call) => call.step === 'sign')?.init.headers, { authorization: 'Bearer handle' })
  t.equal(servers.reported.get(5)?.sizeBytes, 500)
  t.equal(servers.reported.get(1)?.checksumSha256, checksumOf(bytes.subarray(0, 1000)))
  t.ok(progress.length >= 5, 'each part is told')
  t.match(progress.at(-1), { sentBytes: 4500, totalBytes: 4500, etaMs: 0 })
  t.same(states, ['completing', 'completed'])
})

t.test('no more bytes are on their way than may be, but always a part', async (t) => {
  for (const [inFlightBytes, parts] of [
    [2 * PART, 2],
    [2 * PART - 1, 1],
    [1, 1],
  ] as const) {
    const servers = fakeServers(30_000)
    servers.awaitedAtATime = parts
    await start(randomBytes(30_000), servers, { parallel: 32, inFlightBytes }).done
    t.equal(servers.partsAtATime, parts, `${inFlightBytes} bytes`)
  }
})

t.test('no more parts are in memory than are on their way', async (t) => {
  const servers = fakeServers(30_000)
  servers.awaitedAtATime = 3
  let read = 0
  let most = 0
  const source = {
    size: 30_000,
    slice: (start: number, end: number) => ({
      arrayBuffer: async () => {
        read += 1
        most = Math.max(most, read - servers.stored.size)
        return new ArrayBuffer(end - start)
      },
    }),
  }
  const upload = createUpload(source, {
    gatewayUrl: 'http://gateway',
    token: 'author',
    details: { title: 'Holiday' },
    fetch: servers.fetch,
    parallel: 3,
  })
  await upload.done
  t.equal(most, 3)
  t.equal(servers.partsAtATime, 3)
})

t.test('the memory of a part that is stored serves the next one, and not before', async (t) => {
  const bytes = randomBytes(30_500)
  const memory = new Set<ArrayBuffer>()
  const source = {
    size: bytes.length,
    readInto: async (into: Uint8Array<ArrayBuffer>, start: number) => {
      memory.add(into.buffer)
      return bytes.copy(into, 0, start)
    },
  }
  const servers = fakeServers(bytes.length)
  servers.fault = ({ step }, nth) => (step === 'put' && nth % 10 === 1 ? new Response('', { status: 500 }) : undefined)
  const details = { title: 'Holiday' }
  const options = { gatewayUrl: 'http://gateway', token: 'author', details, fetch: servers.fetch, parallel: 3 }
  await createUpload(source, options).done
  t.ok(whole(servers).equals(bytes), 'as it is')
  t.ok(memory.size <= 3, `${memory.size} for 31 parts, 3 at a time`)
})

t.test('progress counts bytes as they leave, and takes back what must be sent again', async (t) => {
  const sizeBytes = 4 * 1024 * 1024
  const servers = fakeServers(sizeBytes)
  const seen: number[] = []
  let tries = 0
  const put = async (init: RequestInit): Promise<Response> => {
    tries += 1
    t.match(init.headers, { 'content-length': String(sizeBytes) })
    const reader = (init.body as ReadableStream<Uint8Array>).getReader()
    // A slow line, until somebody has been told of a part that is on its way; then it breaks.
    while (tries === 1 && !seen.some((bytes) => bytes > 0)) {
      await reader.read()
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    if (tries === 1) return new Response('', { status: 500 })
    while (!(await reader.read()).done);
    servers.status = { status: 'completed' }
    return new Response('', { status: 200, headers: { etag: '"e"' } })
  }
  const fetch: typeof globalThis.fetch = async (input, init = {}) => {
    const url = String(input)
    if (url.startsWith('http://s3/')) return put(init)
    const answer = await servers.fetch(url, init)
    return url.endsWith('/uploads')
      ? json(201, { ...(await answer.json()), partSizeBytes: sizeBytes, partCount: 1 })
      : answer
  }
  const upload = start(randomBytes(sizeBytes), servers, { fetch })
  upload.on('progress', ({ sentBytes }) => seen.push(sentBytes))
  await upload.done
  const first = seen.find((bytes) => bytes > 0) ?? 0
  t.equal(tries, 2)
  t.ok(first > 0 && first < sizeBytes, `${first} of ${sizeBytes}: a part counts as far as it is`)
  t.equal(seen.at(-1), sizeBytes)
  t.ok(
    seen.every((bytes) => bytes <= sizeBytes),
    'nothing counts twice',
  )
})

t.test('faults are lived through, and every byte is still right', async (t) => {
  const faults: Record<string, (servers: Servers) => void> = {
    'a gateway that is away': (servers) => {
      servers.fault = (_call, nth) => (nth === 1 ? problem(503, 'CLAIM_DOUBTFUL') : undefined)
    },
    'too many requests': (servers) => {
      servers.fault = ({ step }, nth) => (step === 'sign' && nth < 3 ? problem(429, 'RATE_LIMITED') : undefined)
    },
    'connections that break': (servers) => {
      servers.fault = (_call, nth) => {
        if (nth % 2 === 1) throw new TypeError('fetch failed')
        return undefined
      }
    },
    'signatures that have expired': (servers) => {
      servers.fault = ({ step }, nth) => (step === 'put' && nth <= 2 ? new Response('', { status: 403 }) : undefined)
    },
    'S3 that fails': (servers) => {
      servers.fault = ({ step }, nth) => (step === 'put' && nth <= 3 ? new Response('', { status: 500 }) : undefined)
    },
    'a bit that flips': (servers) => {
      servers.fault = ({ step }, nth) => (step === 'put' && nth === 1 ? new Response('', { status: 400 }) : undefined)
    },
  }
  await Promise.all(
    Object.entries(faults).map(async ([what, arrange]) => {
      const bytes = randomBytes(2500)
      const servers = fakeServers(2500)
      arrange(servers)
      await start(bytes, servers).done
      t.ok(whole(servers).equals(bytes), what)
      const keys = servers.calls.filter(({ step }) => step === 'create').map(({ init }) => init.headers)
      t.same(new Set(keys.map((headers) => (headers as Record<string, string>)['idempotency-key'])).size, 1)
    }),
  )
})

t.test('a part that is sent again is signed again, and only that part is sent again', async (t) => {
  const servers = fakeServers(3000)
  servers.fault = ({ url }) => {
    const again = servers.calls.filter((call) => call.url === url).length > 1
    return url.endsWith('/part/2') && !again ? new Response('', { status: 403 }) : undefined
  }
  await start(randomBytes(3000), servers).done
  t.equal(servers.count('put'), 4)
  const signed = servers.calls.flatMap(({ step, body }) =>
    step === 'sign' ? (body.parts as { partNumber: number }[]) : [],
  )
  t.same(signed.map(({ partNumber }) => partNumber).sort(), [1, 2, 2, 3])
})

t.test('what will not heal fails with its code, at once', async (t) => {
  const cases: [string, Step, () => Response][] = [
    ['UNAUTHENTICATED', 'create', () => problem(401, 'UNAUTHENTICATED')],
    ['EMPTY_FILE', 'create', () => problem(422, 'EMPTY_FILE')],
    ['TOO_MANY_OPEN_UPLOADS', 'create', () => problem(429, 'TOO_MANY_OPEN_UPLOADS')],
    ['UPLOAD_QUOTA_EXCEEDED', 'sign', () => problem(429, 'UPLOAD_QUOTA_EXCEEDED')],
    ['FORBIDDEN', 'sign', () => problem(403, 'FORBIDDEN')],
    ['HTTP_404', 'report', () => new Response('<html>', { status: 404 })],
    ['ETAG_HIDDEN', 'put', () => new Response('', { status: 200 })],
    ['UPLOAD_EXPIRED', 'status', () => json(200, { status: 'aborted', code: 'UPLOAD_EXPIRED', detail: 'Too late.' })],
    ['UPLOAD_ABORTED', 'status', () => json(200, { status: 'aborted' })],
  ]
  for (const [code, step, answer] of cases) {
    const servers = fakeServers(2500)
    servers.fault = (call) => (call.step === step ? answer() : undefined)
    const upload = start(randomBytes(2500), servers, { parallel: 1 })
    let failed: string | undefined
    upload.on('failed', (error) => {
      failed = error.code
    })
    await t.rejects(upload.done, { name: 'UploadError', code })
    t.equal(failed, code)
    t.equal(upload.state, 'failed')
    t.equal(servers.count(step), 1, `${code}: not tried again`)
  }
})

t.test('a problem names the fields that were refused', async (t) => {
  const servers = fakeServers(10)
  const errors = [{ field: 'title', message: 'must not be empty' }]
  servers.fault = () => json(400, { code: 'VALIDATION_FAILED', detail: 'No.', errors })
  await t.rejects(start(randomBytes(10), servers).done, { message: 'No. title: must not be empty.' })
})

t.test('a file that became shorter is noticed', async (t) => {
  const servers = fakeServers(1500)
  const source = { size: 1500, slice: () => ({ arrayBuffer: async () => new ArrayBuffer(10) }) }
  const options = { gatewayUrl: 'http://g', token: 't', details: { title: 'x' }, fetch: servers.fetch }
  await t.rejects(createUpload(source, options).done, { code: 'FILE_CHANGED' })
})

t.test('whether the file is unchanged is asked when every part is stored, before the last is reported', async (t) => {
  for (const isUnchanged of [true, false]) {
    const servers = fakeServers(4500)
    const bytes = randomBytes(4500)
    let asked = 0
    const source = {
      size: 4500,
      slice: (start: number, end: number) => ({
        arrayBuffer: async () => {
          // The last one is still being read when the others are stored.
          while (end === 4500 && servers.stored.size < 4) await new Promise(setImmediate)
          return new Blob([bytes.subarray(start, end)]).arrayBuffer()
        },
      }),
      isUnchanged: async () => {
        asked += 1
        t.same([servers.stored.size, servers.reported.size], [5, 4])
        return isUnchanged
      },
    }
    const options = { gatewayUrl: 'http://g', token: 't', details: { title: 'x' }, fetch: servers.fetch }
    const upload = createUpload(source, options)
    if (isUnchanged) await upload.done
    else await t.rejects(upload.done, { code: 'FILE_CHANGED' })
    t.equal(asked, 1)
    t.equal(servers.count('abort'), isUnchanged ? 0 : 1)
  }
})

t.test('a file of a browser that changes after it was chosen is told from one that cannot be read', async (t) => {
  const file = path.join(t.testdir({ 'a.mp4': 'x'.repeat(2500) }), 'a.mp4')
  const options = { gatewayUrl: 'http://g', token: 't', details: { title: 'x' } }
  const servers = fakeServers(2500)
  servers.onReport = () => appendFileSync(file, 'more')
  const blob = await openAsBlob(file)
  await t.rejects(createUpload(blob, { ...options, fetch: servers.fetch, parallel: 1 }).done, { code: 'FILE_CHANGED' })
  const gone = { size: 1, slice: () => ({ arrayBuffer: () => Promise.reject(new Error('EIO')) }) }
  const other = fakeServers(1)
  await t.rejects(createUpload(gone, { ...options, fetch: other.fetch }).done, { code: 'FILE_UNREADABLE' })
})

t.test('pausing stops at once, resuming sends what is missing', async (t) => {
  const bytes = randomBytes(6000)
  const servers = fakeServers(6000)
  const upload = start(bytes, servers, { parallel: 2 })
  const paused = new Promise<void>((resolve) => {
    const off = upload.on('progress', () => {
      off()
      upload.pause()
      resolve()
    })
  })
  await paused
  t.equal(upload.state, 'paused')
  for (let i = 0; i < 20; i++) await new Promise(setImmediate)
  const sent = servers.count('put')
  for (let i = 0; i < 20; i++) await new Promise(setImmediate)
  t.equal(servers.count('put'), sent, 'nothing is sent while it is paused')
  t.ok(servers.stored.size < 6)
  upload.resume()
  await upload.done
  t.ok(whole(servers).equals(bytes))
})

t.test('pausing and cancelling end what is on its way, not only what comes next', async (t) => {
  const servers = fakeServers(1000)
  let ended = 0
  const onItsWay = new Map<number, PromiseWithResolvers<void>>([1, 2].map((n) => [n, Promise.withResolvers()]))
  const fetch: typeof globalThis.fetch = async (url, init) => {
    if (!String(url).startsWith('http://s3/')) return servers.fetch(String(url), init)
    return new Promise((_resolve, reject) => {
      init?.signal?.addEventListener('abort', () => {
        ended += 1
        reject(init.signal?.reason)
      })
      onItsWay.get(ended + 1)?.resolve()
    })
  }
  const upload = start(randomBytes(1000), servers, { fetch })
  await onItsWay.get(1)?.promise
  upload.pause()
  t.equal(ended, 1)
  upload.resume()
  await onItsWay.get(2)?.promise
  await upload.cancel()
  t.equal(ended, 2)
})

t.test('cancelling gives the upload up on the server too', async (t) => {
  const servers = fakeServers(6000)
  const upload = start(randomBytes(6000), servers, { parallel: 1 })
  await new Promise<void>((resolve) => void upload.on('progress', () => resolve()))
  await upload.cancel()
  await t.rejects(upload.done, { code: 'CANCELLED' })
  t.equal(upload.state, 'cancelled')
  t.equal(servers.count('abort'), 1)
  await upload.cancel()
  t.equal(servers.count('abort'), 1)
})

t.test('cancelling while the upload is being begun waits for its answer, and gives it up, too', async (t) => {
  const servers = fakeServers(2500)
  const asked = Promise.withResolvers<void>()
  const answered = Promise.withResolvers<void>()
  const fetch: typeof globalThis.fetch = async (url, init) => {
    const answer = await servers.fetch(String(url), init)
    if (!String(url).endsWith('/uploads')) return answer
    asked.resolve()
    await answered.promise
    // As fetch does: what is aborted has no answer.
    init?.signal?.throwIfAborted()
    return answer
  }
  const items = webStorage()
  const memory = storageMemory(() => items)
  const upload = start(randomBytes(2500), servers, { fetch, memory })
  await asked.promise
  const cancelled = upload.cancel()
  await t.rejects(upload.done, { code: 'CANCELLED' }, 'at once')
  t.equal(servers.count('abort'), 0)
  answered.resolve()
  await cancelled
  t.equal(servers.count('abort'), 1)
  t.equal(servers.count('sign'), 0)
  t.same(await memory.all(), [])
})

t.test('says when nobody answers, and when somebody does again', async (t) => {
  const servers = fakeServers(2500)
  servers.fault = ({ step }, nth) => {
    if (step === 'sign' && nth <= 3) throw new TypeError('fetch failed')
    return undefined
  }
  const upload = start(randomBytes(2500), servers, { parallel: 1 })
  const told: boolean[] = []
  upload.on('waiting', (isWaiting) => told.push(isWaiting))
  await upload.done
  t.same(told, [true, false])
})

t.test('cancelling before anything was asked begins nothing', async (t) => {
  const servers = fakeServers(2500)
  const upload = start(randomBytes(2500), servers)
  await upload.cancel()
  await t.rejects(upload.done, { code: 'CANCELLED' })
  for (let i = 0; i < 20; i++) await new Promise(setImmediate)
  t.equal(servers.calls.length, 0)
})

t.test('an upload that is closed when its last parts come is asked how it ended', async (t) => {
  const bytes = randomBytes(9500)
  const servers = fakeServers(9500)
  servers.fault = ({ step }) => {
    if (step !== 'sign') return undefined
    completedWith(servers, bytes)
    return problem(409, 'UPLOAD_CLOSED')
  }
  t.match(await start(bytes, servers).done, { videoId: 'v1' }, 'another client finished it')
  servers.created = 'open'
  const other = Buffer.concat([bytes.subarray(0, 9499), Buffer.of(bytes.readUInt8(9499) ^ 1)])
  await t.rejects(start(other, servers).done, { code: 'FILE_DIFFERS' }, 'with other bytes, in a part not read by then')
  servers.created = 'open'
  servers.fault = ({ step }) => (step === 'sign' ? problem(409, 'UPLOAD_CLOSED') : undefined)
  servers.status = { status: 'aborted', code: 'UPLOAD_CANCELLED' }
  await t.rejects(start(bytes, servers).done, { code: 'UPLOAD_CANCELLED' })
})

t.test('an upload that another client changed before it was complete is not this file', async (t) => {
  const servers = fakeServers(2500)
  servers.onReport = () => {
    if (servers.reported.size < 3) return
    servers.reported.set(2, { etag: 'e', sizeBytes: 1000, checksumSha256: checksumOf(randomBytes(1000)) })
  }
  await t.rejects(start(randomBytes(2500), servers).done, { code: 'FILE_DIFFERS' })
})

t.test('a key whose upload is complete already sends nothing, and is a success for the same bytes alone', async (t) => {
  const bytes = randomBytes(9500)
  const servers = fakeServers(9500)
  completedWith(servers, bytes)
  t.match(await start(bytes, servers, { idempotencyKey: 'mine' }).done, { videoId: 'v1', alreadyComplete: true })
  t.match(servers.calls[0]?.init.headers, { 'idempotency-key': 'mine' })

  const options = { gatewayUrl: 'http://gateway', token: 'author', details: { title: 'x' }, fetch: servers.fetch }
  const stream = (of: Uint8Array) => createUpload(new Blob([new Uint8Array(of)]).stream(), options)
  t.match(await stream(bytes).done, { alreadyComplete: true })
  const others = {
    'another file of this length': () => start(randomBytes(9500), servers),
    'another stream': () => stream(randomBytes(9500)),
    'the beginning of it': () => stream(bytes.subarray(0, 3000)),
    'more than it': () => stream(Buffer.concat([bytes, bytes])),
  }
  for (const [what, other] of Object.entries(others)) await t.rejects(other().done, { code: 'FILE_DIFFERS' }, what)
  t.equal(servers.count('put'), 0)
})

t.test('the client is small, and stands on nothing of Node', async (t) => {
  const { outputFiles } = await build({
    entryPoints: [new URL('./index.ts', import.meta.url).pathname],
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    write: false,
  })
  const bytes = gzipSync(outputFiles[0]?.contents ?? '').length
  t.ok(bytes > 500 && bytes <= 10 * 1024, `${bytes} bytes gzip`)
})
