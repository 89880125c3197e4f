import { type Beginning, beginUpload, noMemory, tolerant, type UploadAnswer } from './begin-upload.ts'
import { asUploadError, UploadError } from './errors.ts'
import { fingerprintOf } from './fingerprint.ts'
import type { UploadMemory } from './memory.ts'
import { Outage } from './outage.ts'
import { Parallelism } from './parallelism.ts'
import { partOrder } from './part-order.ts'
import { createPartReader, type PartReader } from './part-reader.ts'
import { PauseGate } from './pause-gate.ts'
import { ProgressMeter, type UploadProgress } from './progress.ts'
import { type PutBytes, putBytesWith } from './put-bytes.ts'
import { type RecordedUpload, recordedUpload, type UploadStatus } from './recorded-upload.ts'
import { requestJson, type Server, serverAt, uploadPath } from './requests.ts'
import { createPartSender, isSamePart, type PartFacts } from './send-part.ts'
import { isUploadSource, type OpenedSource, openSource } from './source-parts.ts'
import { sendParts } from './transfer.ts'
import type { CreatedUpload, TokenSource, UploadDetails, UploadResult, UploadSource } from './types.ts'
import { unlessClosed, untilClosed } from './until-closed.ts'
import { failureOf } from './wait-until-complete.ts'

export interface UploadOptions {
  /** Base URL of the gateway. */
  readonly gatewayUrl: string
  /** The author's. Only the beginning needs it: what follows is done with a token of the upload alone. */
  readonly token: TokenSource
  readonly details: UploadDetails
  /** Parts on their way at a time, at most: 1 … 32; default 6. How many there are is found out on the way. */
  readonly parallel?: number | undefined
  /**
   * Bytes of parts on their way at a time, at most, for each is in memory: default 256 MiB. One part is always on its way,
   * however long the gateway makes it (8 MiB, and more above 80 GB).
   */
  readonly inFlightBytes?: number | undefined
  /**
   * The same key and the same file: the same upload, which goes on where it was. By default a remembered one, else a
   * new one, kept over all repetitions. Of an upload that was aborted, its failure. Of one that is complete, success if
   * its bytes are these, else FILE_DIFFERS.
   */
  readonly idempotencyKey?: string | undefined
  /** Where the upload is remembered while it is open, so that a later createUpload goes on with it. Not for streams. */
  readonly memory?: UploadMemory | undefined
  /** What it is remembered by; default: the file, the gateway and the details. */
  readonly fingerprint?: string | undefined
  /**
   * Once the server wanted a part again, how often to look for others that it wants, too; default 10 s. The first is seen
   * at once.
   */
  readonly lookAgainMs?: number | undefined
  /**
   * For how long to go on trying while nobody answers (no connection, or 5xx), ms; Infinity = until the upload expires.
   * Default 0: 12 attempts, about a minute and a half. While a browser knows that it is offline it goes on all the same.
   */
  readonly giveUpAfterMs?: number | undefined
  readonly fetch?: typeof fetch | undefined
}

/** `interrupted`: ended here, open on the server. */
export type UploadState = 'uploading' | 'paused' | 'completing' | 'completed' | 'failed' | 'cancelled' | 'interrupted'

export interface UploadEvents {
  /** The server knows the upload: now, or since an earlier attempt. */
  readonly created: CreatedUpload
  /** An earlier attempt stored parts. Those that are found to be the same are not sent again. */
  readonly resumed: { readonly storedParts: number; readonly storedBytes: number }
  /** While bytes leave, some ten times a second, and after every part. */
  readonly progress: UploadProgress
  readonly state: UploadState
  /** True: nobody answers, and it goes on by itself as soon as somebody does. False: somebody does. */
  readonly waiting: boolean
  /** The memory does not work (MEMORY_FAILED): the upload goes on, and cannot be resumed. At most once. */
  readonly unremembered: UploadError
  /** The source is one verified object, compared part by part: nothing of it can get lost any more. */
  readonly completed: UploadResult
  readonly failed: UploadError
}

export interface Upload {
  readonly state: UploadState
  /** Names the upload: with the same key somebody else goes on with it. Null until it has begun. */
  readonly idempotencyKey: string | null
  /** Resolves when the upload is complete; rejects with UploadError. Never an unhandled rejection. */
  readonly done: Promise<UploadResult>
  /** Returns how to stop listening. */
  on<E extends keyof UploadEvents>(event: E, listener: (value: UploadEvents[E]) => void): () => void
  /** Stops sending at once; parts on their way are sent again after resume(). */
  pause(): void
  resume(): void
  /** Ends it here and leaves it open on the server, for a later attempt with the same key or memory. */
  interrupt(): void
  /**
   * Gives the upload up, here and on the server, also when it is only just being begun. Resolves when the server was told,
   * or could not be within some seconds.
   */
  cancel(): Promise<void>
}

/**
 * Begins at once; listeners that are added in the same turn miss nothing.
 * @param source a file, or a stream of unknown length. A stream is read once: to go on with one that was interrupted, the
 * same bytes have to come again from the first on, with the same key.
 */
export const createUpload = (source: UploadSource | ReadableStream<Uint8Array>, options: UploadOptions): Upload =>
  new RunningUpload(source, options)

const DEFAULT_PARALLEL = 6
const MAX_PARALLEL = 32
/** What the most connections have with parts of the usual length. */
const IN_FLIGHT_BYTES = 256 * 1024 * 1024
const GIVE_UP_MS = 5_000
const LOOK_AGAIN_MS = 10_000
type Recorded = Pick<RecordedUpload, 'parts' | 'rejections'>
const NOTHING: Recorded = { parts: new Map(), rejections: 0 }

const ENDED: readonly UploadState[] = ['completed', 'failed', 'cancelled', 'interrupted']

class RunningUpload implements Upload {
  readonly done: Promise<UploadResult>
  readonly #source: UploadSource | ReadableStream<Uint8Array>
  readonly #options: UploadOptions
  readonly #server: Server
  readonly #memory: UploadMemory
  readonly #parallelism: Parallelism
  readonly #listeners = new Map<keyof UploadEvents, Set<(value: never) => void>>()
  readonly #ended = new AbortController()
  /** Ends a create: at once, or, for whoever cancels, when it has had time to say what it began. */
  readonly #beginEnded = new AbortController()
  readonly #gate = new PauseGate(this.#ended.signal)
  readonly #outage: Outage
  readonly #putBytes: PutBytes
  readonly #meter: ProgressMeter
  #state: UploadState = 'uploading'
  #fingerprint = ''
  #idempotencyKey: string | null = null
  #beginning: Promise<UploadAnswer> | null = null

  constructor(source: UploadSource | ReadableStream<Uint8Array>, options: UploadOptions) {
    this.#source = source
    this.#options = options
    const { parallel = DEFAULT_PARALLEL, memory, giveUpAfterMs = 0 } = options
    this.#outage = new Outage(giveUpAfterMs, (isWaiting) => this.#emit('waiting', isWaiting))
    this.#server = serverAt(options.gatewayUrl, { ...options, outage: this.#outage })
    this.#putBytes = putBytesWith(options.fetch)
    this.#parallelism = new Parallelism(Math.max(1, Math.min(parallel, MAX_PARALLEL)))
    const remembers = memory !== undefined && isUploadSource(source)
    this.#memory = remembers ? tolerant(memory, (error) => this.#emit('unremembered', error)) : noMemory
    const sizeBytes = isUploadSource(source) ? source.size : null
    this.#meter = new ProgressMeter(sizeBytes, (progress) => this.#emit('progress', progress))
    this.done = Promise.resolve().then(() => this.#run())
    this.done.catch(() => undefined)
  }

  get state(): UploadState {
    return this.#state
  }

  get idempotencyKey(): string | null {
    return this.#idempotencyKey
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
    this.#gate.close()
  }

  resume(): void {
    if (this.#state !== 'paused') return
    this.#meter.resume()
    this.#parallelism.beginWindow()
    this.#enter('uploading')
    this.#gate.open()
  }

  interrupt(): void {
    if (ENDED.includes(this.#state)) return
    this.#end('interrupted', new UploadError('INTERRUPTED', 'The upload was interrupted. It is still open.'))
  }

  async cancel(): Promise<void> {
    if (ENDED.includes(this.#state)) return
    this.#end('cancelled', new UploadError('CANCELLED', 'The upload was cancelled.'))
    await this.#giveUp()
  }

  #end(state: UploadState, reason: UploadError): void {
    this.#enter(state)
    this.#ended.abort(reason)
    if (state !== 'cancelled') this.#beginEnded.abort(reason)
  }

  async #run(): Promise<UploadResult> {
    try {
      // A stream may say nothing for hours: whoever ends the upload does not wait for its next byte.
      const result = await unlessAborted(this.#ended.signal, this.#upload())
      this.#enter('completed')
      this.#emit('completed', result)
      return result
    } catch (error) {
      const failure = asUploadError(this.#ended.signal.aborted ? this.#ended.signal.reason : error)
      if (!ENDED.includes(this.#state)) {
        // The parts of the siblings are of no use any more.
        this.#end('failed', failure)
        this.#emit('failed', failure)
      }
      throw failure
    }
  }

  async #upload(): Promise<UploadResult> {
    if (globalThis.crypto?.subtle === undefined) {
      throw new UploadError('INSECURE_CONTEXT', 'Uploading needs a page on https or localhost.')
    }
    const source = await openSource(this.#source)
    const { signal } = this.#ended
    signal.throwIfAborted()
    this.#beginning = this.#begin()
    const answer = await unlessAborted(signal, this.#beginning)
    const { videoId, watchUrl, uploadId, expiresAtMs } = answer
    const server = this.#serverOf(answer)
    this.#outage.endAt(expiresAtMs)
    this.#emit('created', { videoId, uploadId, watchUrl, expiresAtMs })
    const before = await this.#before(answer, server)
    const facts = new Map<number, PartFacts>()
    for (const part of believedParts(source, before.parts, answer.partSizeBytes)) {
      facts.set(part.partNumber, part)
      this.#meter.partFound(part.sizeBytes)
    }
    const reader = createPartReader(source.parts(answer.partSizeBytes, numbersOf(source, answer, before, facts)), facts)
    const outcome = await this.#complete(source, answer, before, server, reader, facts)
    const isSame = outcome.status === 'completed' && (await this.#isSame(server, uploadId, reader, facts))
    // Whatever the end is, nobody can go on with it.
    await this.#memory.forget(this.#fingerprint)
    if (outcome.status === 'aborted') throw failureOf(outcome)
    if (!isSame) throw new UploadError('FILE_DIFFERS', DIFFERS)
    this.#meter.completed(bytesOf(facts))
    return { videoId, watchUrl, alreadyComplete: answer.status === 'completed' }
  }

  async #begin(): Promise<UploadAnswer> {
    const { details, gatewayUrl, fingerprint, idempotencyKey } = this.#options
    const file = isUploadSource(this.#source) ? this.#source : null
    const named = detailsOf(details, file)
    this.#fingerprint = fingerprint ?? (file === null ? '' : await fingerprintOf(file, gatewayUrl, named))
    const beginning: Beginning = {
      server: this.#server,
      signal: this.#beginEnded.signal,
      details: named,
      sizeBytes: file?.size ?? null,
      memory: this.#memory,
      fingerprint: this.#fingerprint,
      idempotencyKey,
      onKey: (key) => {
        this.#idempotencyKey = key
      },
    }
    return beginUpload(beginning)
  }

  /** What an earlier attempt, or somebody else, had recorded when this one began. */
  async #before({ uploadId, status, isNew }: UploadAnswer, server: Server): Promise<Recorded> {
    if (isNew || status !== 'open') return NOTHING
    const before = await recordedUpload(server, uploadId, this.#ended.signal)
    if (before.parts.size > 0) {
      this.#emit('resumed', { storedParts: before.parts.size, storedBytes: bytesOf(before.parts) })
    }
    return before
  }

  /**
   * Sends what is missing, and waits for the end. The server may find in S3 that a part is not what was reported, and
   * want it again.
   */
  async #complete(
    source: OpenedSource,
    answer: UploadAnswer,
    before: Recorded,
    server: Server,
    reader: PartReader,
    facts: Map<number, PartFacts>,
  ): Promise<UploadStatus> {
    const { uploadId, status, partSizeBytes } = answer
    const { inFlightBytes = IN_FLIGHT_BYTES } = this.#options
    this.#parallelism.bound(Math.max(1, Math.floor(inFlightBytes / partSizeBytes)))
    const { signal } = this.#ended
    const sender = createPartSender(server, uploadId, this.#putBytes, signal)
    const check = source.checkUnchanged && this.#orGiveUp(source.checkUnchanged)
    const transfer = { sender, parallelism: this.#parallelism, meter: this.#meter, gate: this.#gate, check }
    if (status === 'open') {
      await unlessClosed(async () => {
        await sendParts(transfer, reader, before.parts)
        if (source.sizeBytes === null) await this.#seal(facts, server, uploadId)
      })
    }
    this.#enter('completing')
    const { lookAgainMs = LOOK_AGAIN_MS } = this.#options
    return untilClosed({ server, uploadId, facts, before, lookAgainMs, signal }, async (wanted) => {
      if (!source.isSeekable) throw new UploadError('PART_LOST', LOST)
      this.#enter('uploading')
      const numbers = wanted.map(({ partNumber }) => partNumber)
      const partsAgain = createPartReader(source.parts(partSizeBytes, numbers), facts)
      await unlessClosed(() => sendParts(transfer, partsAgain, NOTHING.parts))
      this.#enter('completing')
    })
  }

  async #seal(sent: ReadonlyMap<number, PartFacts>, server: Server, uploadId: string): Promise<void> {
    const body = { partCount: sent.size, sizeBytes: bytesOf(sent) }
    this.#meter.ended(body.sizeBytes)
    await requestJson(server, `${uploadPath(uploadId)}/seal`, { method: 'POST', body, signal: this.#ended.signal })
  }

  /**
   * Whether the complete upload is this source: others with the same key may have sent something else, now or long ago.
   * What was not read on the way is read and hashed, until a part differs.
   */
  async #isSame(
    server: Server,
    uploadId: string,
    reader: PartReader,
    facts: ReadonlyMap<number, PartFacts>,
  ): Promise<boolean> {
    const { signal } = this.#ended
    const { parts, sizeBytes } = await recordedUpload(server, uploadId, signal)
    const isRecorded = (part: PartFacts): boolean => isSamePart(part, parts.get(part.partNumber))
    let part = await reader.next()
    while (part !== undefined && isRecorded(part)) {
      this.#meter.partFound(part.sizeBytes)
      reader.release(part)
      signal.throwIfAborted()
      part = await reader.next()
    }
    await reader.settled()
    return part === undefined && bytesOf(facts) === sizeBytes && [...facts.values()].every(isRecorded)
  }

  /** What is stored, and torn, must not stay open: the server looks in S3 now and then for parts that nobody reported. */
  #orGiveUp(check: () => Promise<void>): () => Promise<void> {
    return () =>
      check().catch(async (error: unknown) => {
        await this.#giveUp()
        throw error
      })
  }

  /**
   * Best effort: an upload that nobody could be told of expires by itself. A create that is under way may have begun one,
   * and remembers what it began, so it is waited for.
   */
  async #giveUp(): Promise<void> {
    const signal = AbortSignal.timeout(GIVE_UP_MS)
    signal.addEventListener('abort', () => this.#beginEnded.abort(signal.reason))
    const answer = await this.#beginning?.catch(() => undefined)
    await this.#memory.forget(this.#fingerprint)
    if (answer === undefined) return
    const server = this.#serverOf(answer)
    await requestJson(server, uploadPath(answer.uploadId), { method: 'DELETE', signal }).catch(() => undefined)
  }

  /** As the holder of the upload. */
  #serverOf({ uploadToken }: UploadAnswer): Server {
    return { ...this.#server, token: uploadToken }
  }

  #enter(state: UploadState): void {
    // What is still under way when it ends goes on for a moment.
    if (ENDED.includes(this.#state)) return
    this.#state = state
    this.#emit('state', state)
  }

  #emit<E extends keyof UploadEvents>(event: E, value: UploadEvents[E]): void {
    for (const listener of this.#listeners.get(event) ?? []) listener(value as never)
  }
}

/** Recorded parts that need not be read: those of a source that the key names, where they have the length of the plan. */
const believedParts = (
  { isNamedByKey, sizeBytes }: OpenedSource,
  recorded: ReadonlyMap<number, PartFacts>,
  partSizeBytes: number,
): readonly PartFacts[] =>
  [...recorded.values()].filter(
    (part) =>
      isNamedByKey &&
      part.sizeBytes === Math.min(partSizeBytes, (sizeBytes ?? 0) - (part.partNumber - 1) * partSizeBytes),
  )

/** The promise, or the reason of the signal as soon as that aborts. The promise goes on. */
const unlessAborted = <T>(signal: AbortSignal, promise: Promise<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    if (signal.aborted) reject(signal.reason)
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    promise.then(resolve, reject)
  })

/** What the source says of itself goes with what people say. */
const detailsOf = (details: UploadDetails, file: UploadSource | null): UploadDetails => {
  const contentType = details.contentType ?? file?.type ?? ''
  const fileName = details.fileName ?? file?.name ?? 'upload'
  return { ...details, fileName, ...(contentType === '' ? {} : { contentType }) }
}

const bytesOf = (parts: ReadonlyMap<number, PartFacts>): number =>
  [...parts.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)

/** Parts that are to be read, in their order; of a stream nobody knows how many. */
const numbersOf = (
  { sizeBytes }: OpenedSource,
  { partSizeBytes, isNew }: UploadAnswer,
  { parts }: Recorded,
  known: ReadonlyMap<number, unknown>,
): readonly number[] => {
  const order = partOrder(Math.ceil((sizeBytes ?? 0) / partSizeBytes), parts, isNew ? 0 : Math.random())
  return order.filter((partNumber) => !known.has(partNumber))
}

const DIFFERS = 'The upload of this key is complete, with other bytes than these. Send these with another key.'
const LOST = 'The server lost a part of a stream, which cannot be read again. Send the same bytes with the same key.'
