/** Fragmented MP4 made by hand for tests: just the boxes that the splitter reads, with sizes that tests choose. */
export const box = (type: string, ...bodies: readonly Uint8Array[]): Uint8Array => {
  const body = Buffer.concat(bodies)
  return Buffer.concat([uint32(body.length + 8), Buffer.from(type, 'latin1'), body])
}

export const uint32 = (...values: readonly number[]): Uint8Array => {
  const bytes = Buffer.alloc(values.length * 4)
  values.forEach((value, i) => {
    bytes.writeUInt32BE(value, i * 4)
  })
  return bytes
}

/** A header with one AVC track of High profile, level 3.1. */
export const avcInit = (timescale: number): Uint8Array => {
  const avcC = box('avcC', Uint8Array.of(1, 0x64, 0x00, 0x1f, 0xff))
  return init(timescale, box('avc1', Buffer.alloc(78), avcC))
}

/** A header with one AAC-LC track; descriptor sizes in the four-byte form that FFmpeg writes. */
export const aacInit = (timescale: number): Uint8Array => {
  const descriptor = (tag: number, ...bodies: readonly Uint8Array[]): Uint8Array => {
    const body = Buffer.concat(bodies)
    return Buffer.concat([Uint8Array.of(tag, 0x80, 0x80, 0x80, body.length), body])
  }
  const specific = descriptor(5, Uint8Array.of(0x11, 0x90))
  const config = descriptor(4, Uint8Array.of(0x40), Buffer.alloc(12), specific)
  const es = descriptor(3, Uint8Array.of(0, 1, 0), config)
  return init(timescale, box('mp4a', Buffer.alloc(28), box('esds', uint32(0), es)))
}

const init = (timescale: number, sampleEntry: Uint8Array): Uint8Array => {
  const stsd = box('stsd', uint32(0, 1), sampleEntry)
  const mdia = box('mdia', box('mdhd', uint32(0, 0, 0, timescale, 0, 0)), box('minf', box('stbl', stsd)))
  return Buffer.concat([
    box('ftyp', Buffer.from('iso5')),
    box('moov', box('mvhd', Buffer.alloc(100)), box('trak', mdia)),
  ])
}

export interface FragmentShape {
  readonly decodeTime: number
  readonly sampleSizes: readonly number[]
  readonly sampleTicks: number
}

/** styp + moof + mdat, with 64-bit decode time and explicit sample sizes, as FFmpeg writes them. */
export const fragment = ({ decodeTime, sampleSizes, sampleTicks }: FragmentShape): Uint8Array => {
  const tfhd = box('tfhd', uint32(0x020008, 1, sampleTicks))
  const tfdt = box('tfdt', uint32(0x01000000, Math.floor(decodeTime / 2 ** 32), decodeTime % 2 ** 32))
  const trunOf = (dataOffset: number) => box('trun', uint32(0x000201, sampleSizes.length, dataOffset, ...sampleSizes))
  const moofOf = (dataOffset: number) =>
    box('moof', box('mfhd', uint32(0, 1)), box('traf', tfhd, tfdt, trunOf(dataOffset)))
  const moof = moofOf(moofOf(0).length + 8)
  const payload = Buffer.alloc(
    sampleSizes.reduce((sum, size) => sum + size, 0),
    0xab,
  )
  return Buffer.concat([box('styp', Buffer.from('msdh')), moof, box('mdat', payload)])
}
