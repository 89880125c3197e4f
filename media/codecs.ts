import { childBoxes, dataViewOf, findBox } from './boxes.ts'

/**
 * The RFC 6381 name of a track's codec, read from its configuration and never assumed: players refuse a variant whose
 * CODECS they cannot play, and buffer wrongly when it lies. `trak` is the body of a trak box.
 * Null for a codec that we do not make.
 */
export const codecsOf = (trak: DataView): string | null => {
  const stsd = findBox(trak, 'mdia', 'minf', 'stbl', 'stsd')
  if (stsd === null) return null
  // version, flags and entry count come before the entries (14496-12, 8.5.2).
  const [entry] = childBoxes(stsd, 8)
  if (entry?.type === 'avc1') return avcName(entry.body)
  if (entry?.type === 'mp4a') return aacName(entry.body)
  return null
}

/** Bytes of a VisualSampleEntry and an AudioSampleEntry before their child boxes (14496-12, 12.1.3 and 12.2.3). */
const VISUAL_ENTRY_BYTES = 78
const AUDIO_ENTRY_BYTES = 28

const avcName = (entry: DataView): string | null => {
  for (const box of childBoxes(entry, VISUAL_ENTRY_BYTES)) {
    if (box.type !== 'avcC' || box.body.byteLength < 4) continue
    // configurationVersion, then profile, constraints and level: the six digits of the name (14496-15, 5.3.3).
    const digits = [1, 2, 3].map((i) => box.body.getUint8(i).toString(16).padStart(2, '0'))
    return `avc1.${digits.join('')}`
  }
  return null
}

const aacName = (entry: DataView): string | null => {
  for (const box of childBoxes(entry, AUDIO_ENTRY_BYTES)) {
    if (box.type === 'esds')
      return descriptorName(new Uint8Array(box.body.buffer, box.body.byteOffset + 4, box.body.byteLength - 4))
  }
  return null
}

const ES_DESCRIPTOR = 3
const DECODER_CONFIG = 4
const DECODER_SPECIFIC = 5

/** Walks ES → DecoderConfig → DecoderSpecificInfo (14496-1, 7.2.6): object type, then AAC's audio object type. */
const descriptorName = (bytes: Uint8Array): string | null => {
  const es = descriptor(bytes, ES_DESCRIPTOR)
  // ES_ID and flags; we write none of the optional fields that the flags announce.
  const config = es === null ? null : descriptor(es.subarray(3), DECODER_CONFIG)
  if (config === null) return null
  const objectType = (config[0] ?? 0).toString(16)
  // objectTypeIndication, stream type, buffer size, two bit rates.
  const specific = descriptor(config.subarray(13), DECODER_SPECIFIC)
  if (specific === null || specific.length < 2) return `mp4a.${objectType}`
  const bits = dataViewOf(specific).getUint16(0)
  const short = bits >> 11
  const audioObjectType = short === 31 ? 32 + ((bits >> 5) & 0x3f) : short
  return `mp4a.${objectType}.${audioObjectType}`
}

/** The body of the descriptor at the start, if it has this tag. Sizes are 7 bits a byte, the top bit meaning "more". */
const descriptor = (bytes: Uint8Array, tag: number): Uint8Array | null => {
  if (bytes[0] !== tag) return null
  let size = 0
  let at = 1
  for (let more = true; more && at < 5; at++) {
    const byte = bytes[at] ?? 0
    size = size * 128 + (byte & 0x7f)
    more = byte >= 0x80
  }
  return bytes.subarray(at, at + size)
}
