import { UpstreamError } from '../platform/errors.ts'
import { boxHeader, childBoxes, dataViewOf, findBox } from './boxes.ts'
import { codecsOf } from './codecs.ts'

/**
 * Cuts fragmented MP4 into its parts while it is being written. Bytes go in as they come, in pieces of any size; the
 * header comes out once, then each fragment the moment its last byte is there. That is what lets a viewer watch the
 * first second while the rest is still being encoded.
 *
 * Pure and incremental: it keeps the bytes of the part that is not complete yet and nothing else, at most
 * MAX_PART_BYTES. One track per file, as arguments.ts asks FFmpeg for.
 *
 * Times are ticks of the track's timescale. They are read from the boxes (tfdt, trun), never computed from counts, so
 * that the segmenter can check what FFmpeg really wrote.
 */
export interface Fmp4Init {
  readonly kind: 'init'
  /** ftyp + moov: the target of EXT-X-MAP. */
  readonly bytes: Uint8Array
  readonly timescale: number
  /** RFC 6381, e.g. "avc1.64001f" or "mp4a.40.2". */
  readonly codecs: string
}

export interface Fmp4Fragment {
  readonly kind: 'fragment'
  /** moof + mdat, with what belongs before them (styp). */
  readonly bytes: Uint8Array
  /** tfdt: decode time of the first sample. */
  readonly decodeTimeTicks: number
  readonly durationTicks: number
  readonly sampleCount: number
  /** From the fragment's first byte to the end of its first sample. */
  readonly keyframeBytes: number
}

export type Fmp4Part = Fmp4Init | Fmp4Fragment

export interface Fmp4Splitter {
  /** Takes the next bytes; gives the parts that they complete, in order. Throws UpstreamError FMP4_INVALID. */
  push(bytes: Uint8Array): readonly Fmp4Part[]
  /** The input is over. Throws UpstreamError FMP4_INVALID if a part is incomplete or no header came. */
  end(): void
}

/** A GOP of 2 s at the highest rate that we encode is below 4 MiB; more is not ours. */
const MAX_PART_BYTES = 64 * 1024 * 1024

export const createFmp4Splitter = (): Fmp4Splitter => {
  const input = byteQueue()
  let pending: Uint8Array[] = []
  let init: Fmp4Init | null = null
  const take = (type: string, box: Uint8Array): Fmp4Part | null => {
    if (!KNOWN_BOXES.has(type)) return null
    pending.push(box)
    if (type !== 'moov' && type !== 'mdat') return null
    const bytes = concat(pending)
    pending = []
    if (type === 'mdat') return fragmentOf(bytes, init)
    init = initOf(bytes)
    return init
  }
  return {
    push: (bytes) => {
      input.add(bytes)
      const parts: Fmp4Part[] = []
      for (let box = nextBox(input); box !== null; box = nextBox(input)) {
        const part = take(box.type, box.bytes)
        if (part !== null) parts.push(part)
      }
      return parts
    },
    end: () => {
      if (init === null) throw invalid('expected a header, got the end of the file')
      if (input.length() > 0 || pending.length > 0) throw invalid('expected a whole fragment, got the end of the file')
    },
  }
}

/** What makes up a part; anything else (free, mfra) is dropped. */
const KNOWN_BOXES = new Set(['ftyp', 'moov', 'styp', 'moof', 'mdat'])

const invalid = (what: string): UpstreamError => new UpstreamError('FMP4_INVALID', `ffmpeg's output: ${what}`)

const nextBox = (input: ByteQueue): { type: string; bytes: Uint8Array } | null => {
  const header = boxHeader(dataViewOf(input.peek(16)))
  if (header === null) return null
  if (header.sizeBytes < header.headerBytes || header.sizeBytes > MAX_PART_BYTES) {
    throw invalid(`expected a box of at most ${MAX_PART_BYTES} bytes, got "${header.type}" of ${header.sizeBytes}`)
  }
  return input.length() < header.sizeBytes ? null : { type: header.type, bytes: input.take(header.sizeBytes) }
}

const initOf = (bytes: Uint8Array): Fmp4Init => {
  const trak = findBox(dataViewOf(bytes), 'moov', 'trak')
  const mdhd = trak === null ? null : findBox(trak, 'mdia', 'mdhd')
  const codecs = trak === null ? null : codecsOf(trak)
  if (mdhd === null || codecs === null) throw invalid('expected a track with a known codec in the header')
  // Version 1 has 64-bit creation and modification times before the timescale (14496-12, 8.4.2).
  const timescale = mdhd.getUint32(mdhd.getUint8(0) === 1 ? 20 : 12)
  return { kind: 'init', bytes, timescale, codecs }
}

const fragmentOf = (bytes: Uint8Array, init: Fmp4Init | null): Fmp4Fragment => {
  if (init === null) throw invalid('expected the header before the first fragment')
  const file = dataViewOf(bytes)
  const moof = findBox(file, 'moof')
  const traf = moof === null ? null : findBox(moof, 'traf')
  const tfhd = traf === null ? null : findBox(traf, 'tfhd')
  const tfdt = traf === null ? null : findBox(traf, 'tfdt')
  if (moof === null || traf === null || tfhd === null || tfdt === null)
    throw invalid('expected moof with tfhd and tfdt')
  const samples = samplesOf(traf, defaultsOf(tfhd))
  if (samples.sampleCount === 0) throw invalid('expected samples in a fragment, got none')
  const moofStart = moof.byteOffset - file.byteOffset - MOOF_HEADER_BYTES
  return {
    kind: 'fragment',
    bytes,
    decodeTimeTicks: tfdt.getUint8(0) === 1 ? Number(tfdt.getBigUint64(4)) : tfdt.getUint32(4),
    durationTicks: samples.durationTicks,
    sampleCount: samples.sampleCount,
    keyframeBytes: moofStart + samples.dataOffset + samples.firstSampleBytes,
  }
}

const MOOF_HEADER_BYTES = 8

interface SampleDefaults {
  readonly durationTicks: number
  readonly sizeBytes: number
}

/** Optional fields of tfhd come in the order of their flag bits (14496-12, 8.8.7). */
const defaultsOf = (tfhd: DataView): SampleDefaults => {
  const flags = tfhd.getUint32(0) & 0xffffff
  const at = { offset: 8 }
  skipIf(flags & 0x1, at, 8)
  skipIf(flags & 0x2, at, 4)
  const durationTicks = flags & 0x8 ? readUint32(tfhd, at) : 0
  const sizeBytes = flags & 0x10 ? readUint32(tfhd, at) : 0
  return { durationTicks, sizeBytes }
}

interface Samples {
  sampleCount: number
  durationTicks: number
  firstSampleBytes: number
  /** From the moof's first byte to the first sample. */
  dataOffset: number
}

const samplesOf = (traf: DataView, defaults: SampleDefaults): Samples => {
  const total: Samples = { sampleCount: 0, durationTicks: 0, firstSampleBytes: 0, dataOffset: 0 }
  for (const { type, body } of childBoxes(traf)) {
    if (type === 'trun') addRun(total, body, defaults)
  }
  return total
}

/** A track run: optional fields by flag, first for the run, then for each sample (14496-12, 8.8.8). */
const addRun = (total: Samples, trun: DataView, defaults: SampleDefaults): void => {
  const flags = trun.getUint32(0) & 0xffffff
  const count = trun.getUint32(4)
  const at = { offset: 8 }
  const dataOffset = flags & 0x1 ? trun.getInt32(at.offset) : 0
  skipIf(flags & 0x1, at, 4)
  skipIf(flags & 0x4, at, 4)
  for (let i = 0; i < count; i++) {
    const durationTicks = flags & 0x100 ? readUint32(trun, at) : defaults.durationTicks
    const sizeBytes = flags & 0x200 ? readUint32(trun, at) : defaults.sizeBytes
    skipIf(flags & 0x400, at, 4)
    skipIf(flags & 0x800, at, 4)
    if (total.sampleCount === 0) {
      total.firstSampleBytes = sizeBytes
      total.dataOffset = dataOffset
    }
    total.sampleCount += 1
    total.durationTicks += durationTicks
  }
}

const readUint32 = (view: DataView, at: { offset: number }): number => {
  const value = view.getUint32(at.offset)
  at.offset += 4
  return value
}

const skipIf = (flag: number, at: { offset: number }, bytes: number): void => {
  if (flag !== 0) at.offset += bytes
}

interface ByteQueue {
  add(bytes: Uint8Array): void
  length(): number
  /** The first bytes, at most `count`, which stay. */
  peek(count: number): Uint8Array
  /** The first `count` bytes, which must be there. Copied once. */
  take(count: number): Uint8Array
}

const byteQueue = (): ByteQueue => {
  let chunks: Uint8Array[] = []
  let length = 0
  const collect = (count: number): Uint8Array => {
    const [first] = chunks
    if (first !== undefined && first.length >= count) return first.subarray(0, count)
    return concat(chunks, Math.min(count, length))
  }
  return {
    add: (bytes) => {
      if (bytes.length === 0) return
      chunks.push(bytes)
      length += bytes.length
    },
    length: () => length,
    peek: collect,
    take: (count) => {
      const taken = collect(count)
      let left = count
      while (left > 0) {
        const [first, ...rest] = chunks
        if (first === undefined) break
        if (first.length > left) chunks[0] = first.subarray(left)
        else chunks = rest
        left -= Math.min(left, first.length)
      }
      length -= count
      return taken
    },
  }
}

const concat = (
  chunks: readonly Uint8Array[],
  limit = chunks.reduce((sum, { length }) => sum + length, 0),
): Uint8Array => {
  const joined = new Uint8Array(limit)
  let at = 0
  for (const chunk of chunks) {
    if (at >= limit) break
    const part = chunk.subarray(0, limit - at)
    joined.set(part, at)
    at += part.length
  }
  return joined
}
