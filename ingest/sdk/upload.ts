import { asUploadError, UploadError } from './errors.ts'
import { ProgressMeter, type UploadProgress } from './progress.ts'
import { type PutBytes, putBytesWith } from './put-bytes.ts'
import { requestJson, type Server } from './requests.ts'
import { retrying } from './retry.ts'
import { createPartSender, type PartSender, type PreparedPart } from './send-part.ts'
import type { CompletedUpload, TokenSource, UploadDetails, UploadSource } from './types.ts'
import { waitUntilComplete } from './wait-until-complete.ts'

export interface UploadOptions {
  /** Base URL of the gateway. */
  readonly gatewayUrl: string
  /** Base URL of the API; by default the gateway's. */
  readonly apiUrl?: string | undefined
  readonly token: TokenSource
  readonly details: UploadDetails
  /** Parts on their way at a time, 1 … 32; default 4. */
  readonly parallel?: number | undefined
  /** The same key and the same file: the same video. By default a new one, kept over all repetitions. */
  readonly idempotencyKey?: string | undefined
  readonly fetch?: typeof fetch | undefined
}

export type UploadState = 'uploading' | 'paused' | 'completing' | 'completed' | 'failed' | 'cancelled'

export interface UploadEvents {
  /** The video exists, its upload has begun. */
  readonly created: CompletedUpload
  /** While bytes leave, some ten times a second, and after every part. */
  readonly progress: UploadProgress
  readonly state: UploadState
  /** The source is one verified object: nothing of it can get lost any more. */
  readonly completed: CompletedUpload
  readonly failed: UploadError
}

export interface Upload {
  readonly state: UploadState
  /** Resolves when the upload is complete; rejects with UploadError. Never an unhandled rejection. */
  readonly done: Promise<CompletedUpload>
  /** Returns how to stop listening. */
  on<E extends keyof UploadEvents>(event: E, listener: (value: UploadEvents[E]) => void): () => void
  /** Stops sending at once; parts on their way are sent again after resume(). */
  pause(): void
  resume(): void
  /** Gives the upload up, here and on the server. Resolves when the server was told, or could not be. */
  cancel(): Promise<void>
}

/** Begins at once; listeners that are added in the same turn miss nothing. */
export const createUpload = (source: UploadSource, options: UploadOptions): Upload => new RunningUpload(source, options)

interface CreatedUpload extends CompletedUpload {
  readonly uploadId: string
  readonly status: 'open' | 'completed' | 'aborted'
  readonly partSizeBytes: number
  readonly partCount: number
  readonly uploadToken: string
}

const DEFAULT_PARALLEL = 4
const MAX_PARALLEL = 32

class RunningUpload implements Upload {
  readonly done: Promise<CompletedUpload>
  readonly #source: UploadSource
  readonly #options: UploadOptions
  readonly #server: Server
  readonly #listeners = new Map<keyof UploadEvents, Set<(value: never) => void>>()
  readonly #ended = new AbortController()
  readonly #putBytes: PutBytes
  readonly #meter: ProgressMeter
  #state: UploadState = 'uploading'
  /** Aborts what is on its way when the upload is paused. */
  #running = new AbortController()
  #resumed: PromiseWithResolvers<void> | null = null
  #handle: { readonly server: Server; readonly uploadId: string } | null = null

  constructor(source: UploadSource, options: UploadOptions) {
    this.#source = source
    this.#options = options
    const fetch = options.fetch ?? globalThis.fetch.bind(globalThis)
    this.#server = { url: options.gatewayUrl, token: options.token, fetch }
    this.#putBytes = putBytesWith(options.fetch)
    this.#meter = new ProgressMeter(source.size, (progress) => this.#emit('progress', progress))
    this.done = Promise.resolve().then(() => this.#run())
    this.done.catch(() => undefined)
  }

  get state(): UploadState {
    return this.#state
  }

  on<E extends keyof UploadEvents>(event: E, listener: (value: UploadEvents[E]) => void): () => void {
    const listeners = this.#listeners.get(event) ?? new Set()
    this.#listeners.set(event, listeners.add(listener))
    return () => void listeners.delete(listener)
  }

  pause(): void {
    if (this.#state !== 'uploading') return
    this.#enter('paused')
    this.#meter.pause()
    this.#resumed = Promise.withResolvers()
    this.#running.abort()
  }

  resume(): void {
    if (this.#state !== 'paused') return
    this.#running = new AbortController()
    this.#meter.resume()
    this.#enter('uploading')
    this.#resumed?.resolve()
  }

  async cancel(): Promise<void> {
    if (['completed', 'failed', 'cancelled'].includes(this.#state)) return
    this.#enter('cancelled')
    this.#ended.abort(new UploadError('CANCELLED', 'The upload was cancelled.'))
    this.#running.abort()
    this.#resumed?.resolve()
    await this.#giveUp()
  }

  async #run(): Promise<CompletedUpload> {
    try {
      const result = await this.#upload()
      this.#enter('completed')
      this.#emit('completed', result)
      return result
    } catch (error) {
      const failure = asUploadError(this.#ended.signal.aborted ? this.#ended.signal.reason : error)
      if (this.#state !== 'cancelled') {
        // The parts of the siblings are of no use any more.
        this.#ended.abort(failure)
        this.#running.abort()
        this.#enter('failed')
        this.#emit('failed', failure)
      }
      throw failure
    }
  }

  async #upload(): Promise<CompletedUpload> {
    if (globalThis.crypto?.subtle === undefined) {
      throw new UploadError('INSECURE_CONTEXT', 'Uploading needs a page on https or localhost.')
    }
    const created = await this.#create()
    const { videoId, watchUrl, uploadId, uploadToken } = created
    const server = { ...this.#server, token: uploadToken }
    this.#handle = { server, uploadId }
    this.#emit('created', { videoId, watchUrl })
    if (created.status === 'open')
      await this.#sendParts(created, createPartSender(server, uploadId, this.#putBytes, this.#ended.signal))
    this.#enter('completing')
    const { apiUrl = this.#options.gatewayUrl, token } = this.#options
    await waitUntilComplete(uploadId, { apiUrl, token, signal: this.#ended.signal, fetch: this.#server.fetch })
    return { videoId, watchUrl }
  }

  #create(): Promise<CreatedUpload> {
    const { details, idempotencyKey = crypto.randomUUID() } = this.#options
    const contentType = details.contentType ?? this.#source.type
    const body = {
      ...details,
      fileName: details.fileName ?? this.#source.name ?? 'upload',
      contentType: contentType === '' ? undefined : contentType,
      sizeBytes: this.#source.size,
    }
    const headers = { 'idempotency-key': idempotencyKey }
    return requestJson(this.#server, '/uploads', { method: 'POST', headers, body, signal: this.#ended.signal })
  }

  /** Each worker takes the next part when it is done with one, so a slow connection holds up nobody else. */
  async #sendParts(created: CreatedUpload, sender: PartSender): Promise<void> {
    let next = 1
    const work = async (): Promise<void> => {
      for (let n = next++; n <= created.partCount; n = next++) await this.#sendPart(n, created.partSizeBytes, sender)
    }
    const parallel = Math.max(1, Math.min(this.#options.parallel ?? DEFAULT_PARALLEL, MAX_PARALLEL, created.partCount))
    try {
      await Promise.all(Array.from({ length: parallel }, work))
    } catch (error) {
      // Closed meanwhile: by its completion, if another client sent the rest. Then waiting for it says so.
      if (!(error instanceof UploadError && error.code === 'UPLOAD_CLOSED')) throw error
    }
  }

  async #sendPart(partNumber: number, partSizeBytes: number, sender: PartSender): Promise<void> {
    const start = (partNumber - 1) * partSizeBytes
    const part = await this.#prepare(partNumber, start, Math.min(start + partSizeBytes, this.#source.size))
    for (;;) {
      await this.#resumed?.promise
      this.#ended.signal.throwIfAborted()
      const running = this.#running.signal
      const onSent = (sentBytes: number): void => this.#meter.partSent(partNumber, sentBytes)
      try {
        await retrying(() => sender.send(part, running, onSent), running)
        break
      } catch (error) {
        onSent(0)
        if (!running.aborted) throw error
      }
    }
    this.#meter.partStored(partNumber, part.sizeBytes)
  }

  async #prepare(partNumber: number, start: number, end: number): Promise<PreparedPart> {
    await this.#resumed?.promise
    this.#ended.signal.throwIfAborted()
    const bytes = await this.#source
      .slice(start, end)
      .arrayBuffer()
      .catch((error: unknown) => {
        throw new UploadError('FILE_UNREADABLE', 'The file cannot be read.', null, error)
      })
    if (bytes.byteLength !== end - start) {
      throw new UploadError('FILE_UNREADABLE', 'The file became shorter while it was uploaded.')
    }
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
    return { partNumber, sizeBytes: bytes.byteLength, checksumSha256: btoa(String.fromCharCode(...digest)), bytes }
  }

  /** Best effort: an upload that nobody could be told of expires by itself. */
  async #giveUp(): Promise<void> {
    if (this.#handle === null) return
    const { server, uploadId } = this.#handle
    const signal = AbortSignal.timeout(GIVE_UP_MS)
    const path = `/uploads/${encodeURIComponent(uploadId)}`
    await requestJson(server, path, { method: 'DELETE', signal }).catch(() => undefined)
  }

  #enter(state: UploadState): void {
    this.#state = state
    this.#emit('state', state)
  }

  #emit<E extends keyof UploadEvents>(event: E, value: UploadEvents[E]): void {
    for (const listener of this.#listeners.get(event) ?? []) listener(value as never)
  }
}

const GIVE_UP_MS = 5_000
