import fc from 'fast-check'
import t from 'tap'
import { createFmp4Splitter, type Fmp4Part } from './fmp4.ts'
import { aacInit, avcInit, box, fragment, uint32 } from './testing-boxes.ts'

const split = (file: Uint8Array, pieceBytes: readonly number[] = [file.length]): Fmp4Part[] => {
  const splitter = createFmp4Splitter()
  const parts: Fmp4Part[] = []
  let at = 0
  for (let i = 0; at < file.length; i++) {
    const size = Math.max(1, pieceBytes[i % pieceBytes.length] ?? 1)
    parts.push(...splitter.push(file.subarray(at, at + size)))
    at += size
  }
  splitter.end()
  return parts
}

const first = { decodeTime: 0, sampleSizes: [300, 20, 30], sampleTicks: 512 }
const second = { decodeTime: 1536, sampleSizes: [100], sampleTicks: 512 }
const file = Buffer.concat([avcInit(12_800), fragment(first), fragment(second)])

t.test('gives the header, then each fragment with its times and the end of its first sample', async (t) => {
  const [init, a, b] = split(file)
  t.match(init, { kind: 'init', timescale: 12_800, codecs: 'avc1.64001f' })
  t.match(a, { kind: 'fragment', decodeTimeTicks: 0, durationTicks: 1536, sampleCount: 3 })
  t.match(b, { kind: 'fragment', decodeTimeTicks: 1536, durationTicks: 512, sampleCount: 1 })
  if (a?.kind !== 'fragment' || b?.kind !== 'fragment') return t.fail('expected fragments')
  t.equal(a.keyframeBytes, a.bytes.length - 20 - 30)
  t.equal(b.keyframeBytes, b.bytes.length)
})

t.test('reads the codec of a sound track from its descriptors', async (t) => {
  t.match(split(aacInit(48_000))[0], { codecs: 'mp4a.40.2', timescale: 48_000 })
})

t.test('gives a fragment as soon as its last byte is there, and not before', async (t) => {
  const splitter = createFmp4Splitter()
  splitter.push(avcInit(12_800))
  const bytes = fragment(first)
  t.equal(splitter.push(bytes.subarray(0, -1)).length, 0)
  t.equal(splitter.push(bytes.subarray(-1)).length, 1)
})

t.test('keeps times above 32 bits', async (t) => {
  const late = { ...second, decodeTime: 2 ** 40 + 5 }
  t.match(split(Buffer.concat([avcInit(12_800), fragment(late)]))[1], { decodeTimeTicks: 2 ** 40 + 5 })
})

t.test('drops what belongs to no part', async (t) => {
  const noisy = Buffer.concat([avcInit(12_800), box('free', Buffer.alloc(9)), fragment(first), box('mfra')])
  t.equal(split(noisy).length, 2)
})

t.test('whatever the pieces, the parts are the same and lose no byte', async () => {
  const whole = JSON.stringify(split(file))
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 20 }), (pieces) => {
      const parts = split(file, pieces)
      return JSON.stringify(parts) === whole && Buffer.concat(parts.map(({ bytes }) => bytes)).equals(file)
    }),
  )
})

t.test('refuses what is no fragmented MP4, and what ends too early', async (t) => {
  const bad = (bytes: Uint8Array) => () => split(bytes)
  const code = { code: 'FMP4_INVALID' }
  t.throws(bad(file.subarray(0, file.length - 1)), code, 'cut inside a fragment')
  t.throws(bad(box('ftyp')), code, 'no header')
  t.throws(bad(fragment(first)), code, 'fragment before the header')
  t.throws(bad(Buffer.concat([uint32(0xffffffff), Buffer.from('mdat')])), code, 'a box that never ends')
  t.throws(bad(Buffer.concat([uint32(3), Buffer.from('mdat')])), code, 'a box smaller than its header')
  t.throws(bad(box('moov', box('trak'))), code, 'a header without a codec')
  t.throws(bad(Buffer.concat([avcInit(1), fragment({ ...first, sampleSizes: [] })])), code, 'no samples')
})
