import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { DeleteObjectCommand } from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { fileSource } from '../../cli/file-source.ts'
import { keepHeapSmall } from '../../cli/small-heap.ts'
import { createUpload } from '../../ingest/sdk/index.ts'
import type { RunFile } from '../../local/run-file.ts'
import { UpstreamError } from '../../platform/errors.ts'
import { sourceKey } from '../../storage/object-keys.ts'
import { createPresignClient, type S3Client } from '../../storage/s3-client.ts'
import { fetchApart, type Timed } from './apart.ts'

/**
 * Sends, in a process of its own, so that its memory is its own, and removes what it sent: an Order as JSON on standard
 * input, which stays open while somebody wants the answer, a Sent as one line of JSON.
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

/** What one upload has become. */
interface Stored {
  /** When its last byte was stored. */
  readonly sentAtMs: number
  remove(): Promise<unknown>
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
  const stored = await Promise.all(Array.from({ length: order.uploads }, one))
  const endedMs = performance.now()
  const { user, system } = process.cpuUsage(cpuBefore)
  await gateway?.close()
  const sent: Sent = {
    durationMs: endedMs - startedMs,
    completingMs: endedMs - Math.max(...stored.map(({ sentAtMs }) => sentAtMs)),
    cpuMs: (user + system) / 1000,
    ...memory.end(),
    maxRssBytes: process.resourceUsage().maxRSS * KiB,
    calls,
  }
  // Objects of one run after the other would fill the disk.
  await Promise.all(stored.map(({ remove }) => remove()))
  return sent
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

const withSdk = async ({ run, file, parallel }: Order, askGateway: typeof fetch): Promise<Stored> => {
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
    const { videoId } = await upload.done
    return {
      sentAtMs,
      async remove() {
        const headers = { authorization: `Bearer ${token}` }
        const { ok, status } = await fetch(`${gatewayUrl}/videos/${videoId}`, { method: 'DELETE', headers })
        if (!ok) throw new UpstreamError('BENCH_FAILED', `the video was not deleted: ${status}`)
        // The reconciler would come for it, some time.
        const client = s3ClientOf(run)
        await client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: sourceKey(videoId) }))
        client.destroy()
      },
    }
  } finally {
    await source.close()
  }
}

const s3ClientOf = (run: RunFile): S3Client =>
  createPresignClient({
    endpoint: run.s3Endpoint,
    publicEndpoint: run.s3Endpoint,
    region: 'us-east-1',
    accessKeyId: run.s3AccessKeyId,
    secretAccessKey: run.s3SecretAccessKey,
  })

/** As its documentation has it, and no checksums. */
const withLibStorage = async ({ run, by, file, parallel, partSizeBytes }: Order): Promise<Stored> => {
  const client = s3ClientOf(run)
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
  const object = { Bucket: BUCKET, Key: `bench/${crypto.randomUUID()}` }
  const upload = new Upload({
    client,
    params: { ...object, Body: createReadStream(file) },
    queueSize: parallel,
    partSize: partSizeBytes,
  })
  await upload.done()
  return {
    sentAtMs,
    async remove() {
      await client.send(new DeleteObjectCommand(object))
      client.destroy()
    },
  }
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

const lines = createInterface(process.stdin)
const [order] = (await once(lines, 'line')) as [string]
// Whoever asked is gone.
lines.once('close', () => process.exit(1))
console.log(JSON.stringify(await send(JSON.parse(order) as Order)))
process.stdin.unref()
