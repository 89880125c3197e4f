import fc from 'fast-check'
import t from 'tap'
import { measureRate } from './frame-rate.ts'
import { parsePacketLine, summarisePackets } from './packets.ts'
import { type FfprobeOutput, type FfprobeStream, isRejection, SOURCE_LIMITS, sourceFrom } from './probe.ts'
import { signatureOf } from './signature.ts'

const bytes = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0))
const mp4 = { sizeBytes: 1000, head: bytes('\0\0\0\x20ftypisom') }

const videoStream: FfprobeStream = {
  index: 0,
  codec_type: 'video',
  codec_name: 'h264',
  width: 1920,
  height: 1080,
  pix_fmt: 'yuv420p',
  r_frame_rate: '25/1',
  avg_frame_rate: '25/1',
  time_base: '1/12800',
  start_time: '0.000000',
  duration: '10.000000',
  nb_frames: '250',
}
const audioStream: FfprobeStream = {
  index: 1,
  codec_type: 'audio',
  codec_name: 'aac',
  channels: 2,
  sample_rate: '48000',
  start_time: '0.000000',
  duration: '10.000000',
  tags: { language: 'eng' },
}
const output = (...streams: FfprobeStream[]): FfprobeOutput => ({
  streams,
  format: { format_name: 'mov,mp4,m4a,3gp,3g2,mj2', start_time: '0.000000', duration: '10.000000' },
})
const everyTicks = (step: number, count: number) => {
  const summariser = summarisePackets(0)
  for (let i = 0; i < count; i++) summariser.add({ streamIndex: 0, pts: i * step, dts: i * step, duration: step })
  return summariser.summary(false, 128_000)
}
const constant = everyTicks(512, 250)

const accept = (video: Partial<FfprobeStream> = {}, ...others: FfprobeStream[]) => {
  const result = sourceFrom(output({ ...videoStream, ...video }, ...others), constant, mp4)
  if (isRejection(result)) throw new Error(`rejected: ${result.code} ${result.detail}`)
  return result
}
const refusal = (video: Partial<FfprobeStream>, ...others: FfprobeStream[]) => {
  const result = sourceFrom(output({ ...videoStream, ...video }, ...others), constant, mp4)
  return isRejection(result) ? result.code : 'accepted'
}

t.test('describes an ordinary file', async (t) => {
  const source = accept({}, audioStream)
  t.match(source, {
    container: 'mov,mp4,m4a,3gp,3g2,mj2',
    durationMs: 10_000,
    video: { codec: 'h264', frameRateNum: 25, frameRateDen: 1, variableFrameRate: false, frameCount: 250, rotation: 0 },
    audio: [{ streamIndex: 1, language: 'eng', startTimeUs: 0, durationUs: 10_000_000 }],
    warnings: [],
  })
})

t.test('turns: ffprobe counts against the clock', async (t) => {
  const turned = (rotation: number) => accept({ side_data_list: [{ rotation }] }).video.rotation
  t.strictSame([-90, 90, 180, -180, 0, 45].map(turned), [90, 270, 180, 180, 0, 0])
})

t.test('times are relative to the first timestamp of the file', async (t) => {
  const shifted: FfprobeOutput = {
    streams: [
      { ...videoStream, start_time: '1000.083333' },
      { ...audioStream, start_time: '1000.000000' },
    ],
    format: { start_time: '1000.000000' },
  }
  const source = sourceFrom(shifted, constant, mp4)
  t.match(source, { video: { startTimeUs: 83_333 }, audio: [{ startTimeUs: 0 }] })
})

t.test('believes the frame count only when it agrees with the duration', async (t) => {
  t.equal(accept({ nb_frames: '300' }).video.frameCount, null, 'an edit list hides 50 of them')
  t.equal(accept({ nb_frames: '250' }).video.frameCount, 250)
})

t.test('ignores covers, data and undecodable sound, and says so', async (t) => {
  const cover = { ...videoStream, index: 2, codec_name: 'mjpeg', disposition: { attached_pic: 1 } }
  const data: FfprobeStream = { index: 3, codec_type: 'data' }
  const source = accept({}, cover, data, { ...audioStream, codec_name: 'ac4' })
  t.equal(source.video.streamIndex, 0)
  t.equal(source.audio.length, 0)
  t.equal(source.warnings.length, 3)
})

t.test('refuses what cannot become a video', async (t) => {
  const cover = { ...videoStream, codec_name: 'mjpeg', disposition: { attached_pic: 1 } }
  t.match(sourceFrom(output(cover, audioStream), null, mp4), { code: 'NO_VIDEO' })
  t.equal(refusal({ codec_name: 'gif' }), 'UNSUPPORTED')
  t.equal(refusal({ side_data_list: [{ dv_profile: 5 }] }), 'UNSUPPORTED')
  t.equal(refusal({ side_data_list: [{ dv_profile: 8 }] }), 'accepted')
  t.equal(refusal({ width: 16_000, height: 16_000 }), 'LIMIT_DIMENSIONS')
  t.equal(refusal({ width: 0 }), 'UNREADABLE')
  t.equal(refusal({ duration: '90000.0' }), 'LIMIT_DURATION')
  t.equal(refusal({ duration: '3600.0', nb_frames: '2' }), 'accepted')
  t.equal(refusal({}, ...Array.from({ length: 32 }, () => audioStream)), 'LIMIT_STREAMS')
  t.equal(SOURCE_LIMITS.maxStreams, 32)
})

t.test('refuses a pause of an hour', async (t) => {
  const gap = everyTicks(12_800 * 3600, 2)
  t.match(sourceFrom(output({ ...videoStream, duration: '7200.0', nb_frames: '2' }), gap, mp4), { code: 'LIMIT_GAP' })
})

t.test('says why an unreadable file is unreadable, by its first bytes', async (t) => {
  const code = (head: Uint8Array, sizeBytes = 1000) => sourceFrom(null, null, { sizeBytes, head })
  t.match(code(bytes(''), 0), { code: 'EMPTY' })
  t.match(code(bytes('hello world')), { code: 'NOT_MEDIA' })
  t.match(code(bytes('\x89PNG\r\n')), { code: 'IMAGE' })
  t.match(code(bytes('\0\0\0\x20ftypheic')), { code: 'IMAGE' })
  t.match(code(bytes('ID3\x04')), { code: 'NO_VIDEO' })
  t.match(code(mp4.head), { code: 'UNREADABLE' })
  t.match(code(bytes('RIFF\0\0\0\0AVI ')), { code: 'UNREADABLE' })
  t.match(code(bytes('BMX is fun, and no bitmap')), { code: 'NOT_MEDIA' })
})

t.test('signatures never throw', async () => {
  const known = ['image', 'audio', 'video', 'unknown']
  fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), (head) => known.includes(signatureOf(head))))
})

t.test('frame rates', async (t) => {
  const at = (seconds: (i: number) => number, ticksPerSecond: number, count = 100) =>
    Array.from({ length: count }, (_, i) => Math.round(seconds(i) * ticksPerSecond))
  const declared = (num: number, den: number) => [{ num, den }]
  const [ms, mp4Base] = [
    { num: 1, den: 1000 },
    { num: 1, den: 90_000 },
  ]
  const ntsc = at((i) => (i * 1001) / 30_000, 1000)
  t.strictSame(
    measureRate(declared(30_000, 1001), ntsc, ms, null),
    { num: 30_000, den: 1001, variable: false },
    'milliseconds of Matroska are rounding, not variation',
  )
  const phone = at((i) => i / 30 + (i % 3) * 0.0003, 90_000)
  t.strictSame(measureRate(declared(30, 1), phone, mp4Base, 29.8), { num: 30, den: 1, variable: true })
  const paused = at((i) => (i < 50 ? i / 25 : i / 25 + 60), 90_000)
  t.strictSame(measureRate(declared(90_000, 1), paused, mp4Base, null), { num: 25, den: 1, variable: true })
  const slow = at((i) => i / 12.5, 90_000)
  t.strictSame(measureRate(declared(25, 2), slow, mp4Base, 12.5), { num: 25, den: 2, variable: false })
  t.strictSame(
    measureRate(
      declared(25, 1),
      at((i) => i / 25, 90_000),
      mp4Base,
      20,
    ).variable,
    true,
    'later it varies',
  )
  t.strictSame(measureRate([], [0], mp4Base, null), { num: 25, den: 1, variable: true }, 'one frame without a rate')
})

t.test('packets', async (t) => {
  t.strictSame(parsePacketLine('packet|stream_index=0|pts=3|dts=-3|duration=41'), {
    streamIndex: 0,
    pts: 3,
    dts: -3,
    duration: 41,
  })
  t.strictSame(parsePacketLine('packet|stream_index=0|pts=N/A|dts=N/A'), {
    streamIndex: 0,
    pts: null,
    dts: null,
    duration: null,
  })
  t.equal(parsePacketLine('side_data|x=1'), null)

  const summariser = summarisePackets(0)
  const clock = [0, 40, 80, 9_000_000, 9_000_040, 120, 160]
  for (const time of clock) summariser.add({ streamIndex: 0, pts: time, dts: time, duration: 40 })
  summariser.add({ streamIndex: 1, pts: 5, dts: 5, duration: 5 })
  const summary = summariser.summary(true, 10_000)
  t.equal(summary.playedTicks, 7 * 40, 'jumps of the clock, either way, are one frame long')
  t.equal(summary.endPts, 9_000_080)
})

t.test('packets in decode order give presentation times without holes', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 4 }), (groups, size) => {
      const summariser = summarisePackets(0)
      for (let g = 0; g < groups; g++) {
        for (let i = size - 1; i >= 0; i--) {
          summariser.add({ streamIndex: 0, pts: (g * size + i) * 10, dts: g * size * 10, duration: 10 })
        }
      }
      const { firstPts } = summariser.summary(false, 1e9)
      return firstPts.slice(1).every((time, i) => time - (firstPts[i] ?? 0) === 10)
    }),
  )
})
