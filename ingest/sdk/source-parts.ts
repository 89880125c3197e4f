import { UploadError } from './errors.ts'
import type { ReadSource, SlicedSource, UploadSource } from './types.ts'

/** A part as it was read. */
export interface SourcePart {
  /** From 1. */
  readonly partNumber: number
  readonly bytes: Uint8Array<ArrayBuffer>
}

export interface SourceParts {
  /**
   * The next part with each call; undefined after the last one. Calls may overlap: a file is then read at several places at
   * once, a stream one part after the other.
   * @throws UploadError FILE_UNREADABLE, FILE_CHANGED
   */
  next(): Promise<SourcePart | undefined>
  /**
   * Puts a part that was read behind those that are left. False when that would lead nowhere: nothing else is left, it was
   * put there before, or it cannot be read again.
   */
  later(partNumber: number): boolean
  /** Nobody looks at these bytes of a part again. */
  release(bytes: Uint8Array<ArrayBuffer>): void
}

/** A source that is known not to be empty, cut into parts as soon as somebody knows how long they are. */
export interface OpenedSource {
  /** Null while it is not known: a stream says it by ending. */
  readonly sizeBytes: number | null
  /** Whether a part can be read at any time, also twice. Not of a stream. */
  readonly isSeekable: boolean
  /**
   * Its parts; all but the last have `partSizeBytes`.
   * @param partNumbers which, in which order; a stream gives all of them in its own
   */
  parts(partSizeBytes: number, partNumbers: readonly number[]): SourceParts
  /**
   * Resolves when all reads until now were of one and the same file, as far as it can be told; null where nothing is
   * read twice. @throws UploadError FILE_CHANGED
   */
  readonly checkUnchanged: (() => Promise<void>) | null
  /** As the source says: what is recorded under the key is of these bytes. */
  readonly isNamedByKey: boolean
}

/**
 * @throws UploadError EMPTY_FILE when a stream ends without a byte (the gateway says so of a file), FILE_UNREADABLE
 */
export const openSource = (source: UploadSource | ReadableStream<Uint8Array>): OpenedSource | Promise<OpenedSource> =>
  isUploadSource(source) ? fileInParts(source) : streamInParts(source)

/** Whether it is more than a stream: its length is known, and it can be read again. */
export const isUploadSource = (source: UploadSource | ReadableStream<Uint8Array>): source is UploadSource =>
  'size' in source

const fileInParts = (source: UploadSource): OpenedSource => {
  const ranges = 'readInto' in source ? readRanges(source) : slicedRanges(source)
  const read = async (start: number, sizeBytes: number): Promise<Uint8Array<ArrayBuffer>> => {
    const bytes = await ranges.at(start, sizeBytes).catch(unreadable)
    if (bytes.length === sizeBytes) return bytes
    throw changed()
  }
  const part = async (partNumber: number, partSizeBytes: number): Promise<SourcePart> => {
    const start = (partNumber - 1) * partSizeBytes
    return { partNumber, bytes: await read(start, Math.min(partSizeBytes, source.size - start)) }
  }
  return {
    sizeBytes: source.size,
    isNamedByKey: source.isNamedByKey === true,
    isSeekable: true,
    parts: (partSizeBytes, partNumbers) => {
      const left = [...partNumbers]
      const delayed = new Set<number>()
      return {
        next: async () => {
          const partNumber = left.shift()
          return partNumber === undefined ? undefined : part(partNumber, partSizeBytes)
        },
        later: (partNumber) => {
          if (left.length === 0 || delayed.has(partNumber)) return false
          delayed.add(partNumber)
          left.push(partNumber)
          return true
        },
        release: ranges.release,
      }
    },
    checkUnchanged: async () => {
      // Reading is how a browser's file is asked: one that is not as it was chosen is not readable.
      if (source instanceof Blob) await read(0, 1)
      if ((await source.isUnchanged?.()) === false) throw changed()
    },
  }
}

interface Ranges {
  /** Fewer bytes where the source ends before. */
  at(start: number, sizeBytes: number): Promise<Uint8Array<ArrayBuffer>>
  release(bytes: Uint8Array<ArrayBuffer>): void
}

const slicedRanges = (source: SlicedSource): Ranges => ({
  at: async (start, sizeBytes) => new Uint8Array(await source.slice(start, start + sizeBytes).arrayBuffer()),
  release: () => undefined,
})

const readRanges = (source: ReadSource): Ranges => {
  const memory = createPartMemory()
  return {
    async at(start, sizeBytes) {
      const bytes = memory.take(sizeBytes)
      return bytes.subarray(0, await source.readInto(bytes, start))
    },
    release: memory.release,
  }
}

/**
 * The memory of a part that is stored, for the next one. Left to the garbage collector, large buffers pile up until it
 * comes, and the system has to find and clear new pages for each: half of the CPU time of an upload.
 */
const createPartMemory = () => {
  const free: ArrayBuffer[] = []
  return {
    take(sizeBytes: number): Uint8Array<ArrayBuffer> {
      const found = free.findIndex(({ byteLength }) => byteLength >= sizeBytes)
      const [buffer = new ArrayBuffer(sizeBytes)] = found < 0 ? [] : free.splice(found, 1)
      return new Uint8Array(buffer, 0, sizeBytes)
    },
    release({ buffer }: Uint8Array<ArrayBuffer>): void {
      free.push(buffer)
    },
  }
}

const streamInParts = async (stream: ReadableStream<Uint8Array>): Promise<OpenedSource> => {
  const reader = stream.getReader()
  /** Undefined at the end. Whoever writes the stream may write nothing. */
  const nextBytes = async (): Promise<Uint8Array | undefined> => {
    for (;;) {
      const { done, value } = await reader.read().catch(unreadable)
      if (done) return undefined
      if (value.length > 0) return value
    }
  }
  let rest = await nextBytes()
  if (rest === undefined) throw new UploadError('EMPTY_FILE', 'There is nothing to upload: the stream is empty.')

  const fill = async (bytes: Uint8Array): Promise<number> => {
    let filled = 0
    while (rest !== undefined && filled < bytes.length) {
      const piece = rest.subarray(0, bytes.length - filled)
      bytes.set(piece, filled)
      filled += piece.length
      rest = piece.length < rest.length ? rest.subarray(piece.length) : await nextBytes()
    }
    return filled
  }

  return {
    sizeBytes: null,
    isNamedByKey: false,
    isSeekable: false,
    checkUnchanged: null,
    parts: (partSizeBytes) => {
      const memory = createPartMemory()
      let read = 0
      let turn: Promise<SourcePart | undefined> = Promise.resolve(undefined)
      const readNext = async (): Promise<SourcePart | undefined> => {
        if (rest === undefined) return undefined
        const bytes = memory.take(partSizeBytes)
        const filled = await fill(bytes)
        read += 1
        return { partNumber: read, bytes: bytes.subarray(0, filled) }
      }
      return {
        next: () => {
          turn = turn.then(readNext)
          return turn
        },
        later: () => false,
        release: memory.release,
      }
    },
  }
}

const changed = (cause?: unknown): UploadError =>
  new UploadError('FILE_CHANGED', 'The file was changed while it was uploaded.', null, cause)

const unreadable = (error: unknown): never => {
  // The File API's word for a file that changed after it was chosen (and for one that may not be read any more).
  if (error instanceof DOMException && error.name === 'NotReadableError') throw changed(error)
  throw new UploadError('FILE_UNREADABLE', 'The file cannot be read.', null, error)
}
