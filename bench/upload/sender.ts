import { createReadStream } from 'node:fs'
import { Upload } from '@aws-sdk/lib-storage'
import { fileSource } from '../../cli/file-source.ts'
import { keepHeapSmall } from '../../cli/small-heap.ts'
import { createUpload } from '../../ingest/sdk/index.ts'
import type { RunFile } from '../../local/run-file.ts'
import { createPresignClient, type S3Client } from '../../storage/s3-client.ts'
import { fetchApart, type Timed } from './apart.ts'

/**
 * Sends, in a process of its own, so that its memory is its own: `sender.ts '<JSON of Order>'`, answers with one line of
 * JSON, a Sent.
 */
export interface Order {
  readonly run: RunFile
  readonly by: Sender
  readonly file: string
  /** How often, at once. */
  readonly uploads: number
  /** Parts on their way, of each upload. */
  readonly parallel: number
  readonly partSizeBytes: number
}

/**
 * `lib-storage` signs as it does by default: what goes over plain HTTP with its SHA-256, which the server checks.
 * `lib-storage-unsigned` leaves the bytes out of the signature, as the AWS SDK does over HTTPS: nobody hashes for it.
 */
export type Sender = 'sdk' | 'lib-storage' | 'lib-storage-unsigned'

export interface Sent {
  /** Until the last is complete. */
  readonly durationMs: number
  /** Of those, after the last byte was stored. */
  readonly completingMs: number
  /** CPU time of this process meanwhile. */
  readonly cpuMs: number
  readonly maxRssBytes: number
  /** Largest sample of the JavaScript heap that is used, garbage included. */
  readonly maxHeapBytes: number
  /** Largest sample of what the ArrayBuffers have: parts that are read, and not collected yet. */
  readonly maxArrayBufferBytes: number
  /** Of the gateway, when there were many uploads. */
  readonly calls: readonly Timed[]
}

const KiB = 1024
const BUCKET = 'reelstream-media'

const send = async (order: Order): Promise<Sent> => {
  const calls: Timed[] = []
  // One upload alone has its memory and its throughput measured, and is not to pay for another thread.
  const gateway = order.uploads > 1 ? fetchApart((call) => calls.push(call)) : undefined
  // As the command line does.
  if (order.by === 'sdk') keepHeapSmall()
  const startedMs = performance.now()
  const memory = watchMemory()
  const cpuBefore = process.cpuUsage()
  const one = order.by === 'sdk' ? () => withSdk(order, gateway?.fetch ?? fetch) : () => withLibStorage(order)
  const sentAtMs = await Promise.all(Array.from({ length: order.uploads }, one))
  const endedMs = performance.now()
  const { user, system } = process.cpuUsage(cpuBefore)
  await gateway?.close()
  return {
    durationMs: endedMs - startedMs,
    completingMs: endedMs - Math.max(...sentAtMs),
    cpuMs: (user + system) / 1000,
    ...memory.end(),
    maxRssBytes: process.resourceUsage().maxRSS * KiB,
    calls,
  }
}

const SAMPLE_MS = 100

const watchMemory = () => {
  let maxHeapBytes = 0
  let maxArrayBufferBytes = 0
  const look = (): void => {
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    maxHeapBytes = Math.max(maxHeapBytes, heapUsed)
    maxArrayBufferBytes = Math.max(maxArrayBufferBytes, arrayBuffers)
  }
  const timer = setInterval(look, SAMPLE_MS)
  return {
    end: () => {
      clearInterval(timer)
      look()
      return { maxHeapBytes, maxArrayBufferBytes }
    },
  }
}

/** @returns when its last byte was stored */
const withSdk = async ({ run, file, parallel }: Order, askGateway: typeof fetch): Promise<number> => {
  const source = await fileSource(file)
  const apart: typeof fetch = (url, init) =>
    String(url).startsWith(run.gatewayUrl) ? askGateway(url, init) : fetch(url, init)
  const { gatewayUrl, token } = run
  const details = { title: 'Bench' }
  const upload = createUpload(source, { gatewayUrl, token, details, parallel, fetch: apart })
  let sentAtMs = 0
  upload.on('state', (state) => {
    if (state === 'completing') sentAtMs = performance.now()
  })
  try {
    await upload.done
    return sentAtMs
  } finally {
    await source.close()
  }
}

/**
 * As its documentation has it, and no checksums.
 * @returns when its last byte was stored
 */
const withLibStorage = async ({ run, by, file, parallel, partSizeBytes }: Order): Promise<number> => {
  const client = createPresignClient({
    endpoint: run.s3Endpoint,
    publicEndpoint: run.s3Endpoint,
    region: 'us-east-1',
    accessKeyId: run.s3AccessKeyId,
    secretAccessKey: run.s3SecretAccessKey,
  })
  if (by === 'lib-storage-unsigned') leaveBytesUnsigned(client)
  let sentAtMs = 0
  client.middlewareStack.add(
    (next, { commandName }) =>
      (args) => {
        if (commandName === 'CompleteMultipartUploadCommand') sentAtMs = performance.now()
        return next(args)
      },
    { step: 'initialize' },
  )
  const upload = new Upload({
    client,
    params: { Bucket: BUCKET, Key: `bench/${crypto.randomUUID()}`, Body: createReadStream(file) },
    queueSize: parallel,
    partSize: partSizeBytes,
  })
  await upload.done()
  client.destroy()
  return sentAtMs
}

const leaveBytesUnsigned = (client: S3Client): void =>
  client.middlewareStack.add(
    (next) => (args) => {
      const { headers } = args.request as { readonly headers: Record<string, string> }
      headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD'
      return next(args)
    },
    { step: 'build' },
  )

console.log(JSON.stringify(await send(JSON.parse(process.argv[2] ?? '') as Order)))
