import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { silentLogger } from '../platform/log.ts'
import { type FfmpegCommand, posterCommand } from './arguments.ts'
import { createFfmpeg, type Sink } from './ffmpeg.ts'
import { checkPresentation, isPublishable } from './hls/check.ts'
import { readLadder } from './ladder-file.ts'
import { planRenditions } from './plan.ts'
import { isRejection } from './probe.ts'
import { planStoryboard, storyboardCommand } from './storyboard.ts'
import {
  mustProbe,
  probeFile,
  stockFfmpeg,
  stockFfprobe,
  type TestTrack,
  transcodeAudio,
  transcodeVideo,
  writePlaylists,
} from './testing-transcode.ts'
import type { ProbedSource, TranscodePlan } from './types.ts'

// CommonJS without a default export that types and runtime agree on.
const hlsParser = createRequire(import.meta.url)('hls-parser') as typeof import('hls-parser')

const ladder = readLadder()
const ffmpeg = await createFfmpeg({ ffmpegPath: 'ffmpeg', ffprobePath: 'ffprobe', log: silentLogger })
const folder = await mkdtemp(join(tmpdir(), 'media-test-'))
t.teardown(() => rm(folder, { recursive: true, force: true }))

const TONE = ['-f', 'lavfi', '-i', 'sine=f=440:r=48000']
const picture = (size: string, rate: string) => ['-f', 'lavfi', '-i', `testsrc2=s=${size}:r=${rate}`]
const H264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p']

const make = async (name: string, ...args: readonly string[]): Promise<string> => {
  const path = join(folder, name)
  await stockFfmpeg(...args, path)
  return path
}

interface Transcoded {
  readonly source: ProbedSource
  readonly plan: TranscodePlan
  readonly video: readonly TestTrack[]
  readonly audio: readonly TestTrack[]
  readonly playlists: ReadonlyMap<string, string>
  readonly folder: string
}

const transcode = async (path: string): Promise<Transcoded> => {
  const source = await mustProbe(ffmpeg, path)
  const plan = planRenditions(source, ladder)
  const out = `${path}.out`
  const video = await transcodeVideo(ffmpeg, plan, path, out)
  const audio = await transcodeAudio(ffmpeg, plan, path, out)
  return { source, plan, video, audio, playlists: await writePlaylists(plan, video, audio, out), folder: out }
}

const findings = ({ playlists, video, audio }: Transcoded) =>
  checkPresentation({
    master: playlists.get('master.m3u8') ?? '',
    playlists,
    segmentBytes: new Map(
      [...video, ...audio].map(({ track, rendition, records }) => [
        `${track}-${rendition}.m3u8`,
        records.map(({ sizeBytes }) => sizeBytes),
      ]),
    ),
  })

/** Presentation times of all packets of a rendition, by FFmpeg's own demuxer. */
const packetTimes = async (path: string, file: string): Promise<number[]> => {
  const text = await stockFfprobe('-show_entries', 'packet=pts', '-of', 'csv=p=0', join(path, 'r0', file))
  return text.split('\n').flatMap((line) => (/^-?\d+/.test(line) ? [Number.parseInt(line, 10)] : []))
}

/** Seconds at which the picture turns white. */
const flashes = async (path: string, file: string, rate: number): Promise<number[]> => {
  const luma = await stockFfmpeg(
    ...['-i', join(path, 'r0', file), '-map', '0:v', '-vf', 'scale=1:1,format=gray'],
    ...['-fps_mode', 'passthrough', '-f', 'rawvideo', '-'],
  )
  return onsets([...luma].map((value) => value > 128)).map((frame) => frame / rate)
}

/** Seconds at which sound begins, sample-exact. Decoded from bare AAC frames, as players do that ignore edit lists. */
const beeps = async (path: string, track: TestTrack): Promise<number[]> => {
  const aac = await stockFfmpeg('-i', join(path, 'r0', `${track.track}-aac.m3u8`), '-c', 'copy', '-f', 'adts', '-')
  const file = join(path, 'bare.aac')
  await writeFile(file, aac)
  const pcm = await stockFfmpeg('-i', file, '-f', 's16le', '-ac', '1', '-')
  const samples = new Int16Array(pcm.buffer, pcm.byteOffset, Math.floor(pcm.length / 2))
  const loud: boolean[] = []
  let quietFor = Number.POSITIVE_INFINITY
  for (const sample of samples) {
    quietFor = Math.abs(sample) > 4000 ? 0 : quietFor + 1
    loud.push(quietFor < 20_000)
  }
  return onsets(loud).map((sample) => (track.decodeTimes[0] ?? 0) / 48_000 + sample / 48_000)
}

const onsets = (signal: readonly boolean[]): number[] =>
  signal.flatMap((on, i) => (on && signal[i - 1] !== true ? [i] : []))

const flashAndBeep = (rate: number, seconds: number): string[] => [
  ...[
    '-f',
    'lavfi',
    '-i',
    `color=black:s=1280x720:r=${rate},drawbox=c=white:t=fill:enable='lt(mod(t+1,2),0.2)*gte(t,1)'`,
  ],
  ...['-f', 'lavfi', '-i', `aevalsrc='0.9*sin(2*PI*1000*t)*lt(mod(t+1,2),0.2)*gte(t,1)':s=48000`],
  ...['-t', String(seconds)],
]

t.test('a plain video becomes three aligned renditions with sound', async (t) => {
  const path = await make('plain.mp4', ...flashAndBeep(25, 11), ...H264, '-c:a', 'aac')
  const result = await transcode(path)
  t.strictSame(result.source.warnings, [])
  t.equal(result.plan.totalFrames, 275)

  t.strictSame(
    result.video.map(({ samples }) => samples),
    [275, 275, 275],
    'every rendition has the planned frames',
  )
  t.strictSame(
    result.video[0]?.decodeTimes,
    [0, 25, 50, 75, 100, 150, 200, 250].map((frame) => frame * 512),
    'segments of 1 s and then 2 s, starting at 0',
  )
  for (const { decodeTimes } of result.video) t.strictSame(decodeTimes, result.video[0]?.decodeTimes, 'aligned')

  for (const { name } of ladder.renditions) {
    const times = (await packetTimes(result.folder, `video-${name}.m3u8`)).toSorted((a, b) => a - b)
    t.equal(times.length, 275)
    const steps = new Set(times.slice(1).map((time, i) => time - (times[i] ?? 0)))
    t.strictSame([...steps], [512], `${name}: one constant step`)
  }

  t.strictSame(findings(result), [], 'our checker has nothing to say')
  for (const [name, text] of result.playlists) {
    hlsParser.setOptions({ strictMode: true })
    t.doesNotThrow(() => hlsParser.parse(text), `hls-parser agrees with ${name}`)
  }
  const master = hlsParser.parse(result.playlists.get('master.m3u8') ?? '')
  t.ok(master.isMasterPlaylist)
  if (master.isMasterPlaylist) {
    const levels = master.variants.filter(({ isIFrameOnly }) => !isIFrameOnly)
    t.strictSame(
      levels.map(({ resolution }) => `${resolution?.width}x${resolution?.height}`),
      ['1280x720', '854x480', '320x180'],
    )
  }

  const [sound] = result.audio
  t.ok(sound)
  if (sound === undefined) return
  const [seen, heard] = [await flashes(result.folder, 'video-180p.m3u8', 25), await beeps(result.folder, sound)]
  t.equal(seen.length, 5)
  t.equal(heard.length, 5)
  const skewsMs = seen.map((at, i) => Math.abs(at - (heard[i] ?? 0)) * 1000)
  t.ok(Math.max(...skewsMs) <= 1, `sound and picture are at most 1 ms apart, got ${Math.max(...skewsMs).toFixed(2)}`)
})

t.test('every I-frame byte range holds exactly one decodable picture', async (t) => {
  const path = await make('scrub.mp4', ...picture('320x180', '25'), '-t', '5', ...H264)
  const { folder, video } = await transcode(path)
  const [track] = video
  const [record] = track?.records ?? []
  const [fragment] = record?.fragments ?? []
  const init = await readFile(join(folder, 'video/180p/init.mp4'))
  const segment = await readFile(join(folder, 'video/180p/00000.m4s'))
  const bytes = Buffer.concat([init, segment.subarray(fragment?.offset, fragment?.keyframeBytes)])
  const cut = join(folder, 'iframe.mp4')
  await writeFile(cut, bytes)
  const raw = await stockFfmpeg('-i', cut, '-frames:v', '1', '-f', 'rawvideo', '-pix_fmt', 'gray', '-')
  t.equal(raw.length, 320 * 180)
})

t.test('poster and storyboard are pictures of the planned size', async (t) => {
  const path = await make('board.mp4', ...picture('320x180', '25'), '-t', '5', ...H264)
  const { folder, plan } = await transcode(path)
  const parts = ['init.mp4', '00000.m4s', '00001.m4s', '00002.m4s'].map((name) =>
    readFile(join(folder, 'video/180p', name)),
  )
  const joined = join(folder, 'joined.mp4')
  await writeFile(joined, Buffer.concat(await Promise.all(parts)))
  const sizeOf = async (build: (output: string) => FfmpegCommand): Promise<string> => {
    const jpeg: Uint8Array[] = []
    const take: Sink = async (bytes) => {
      for await (const chunk of bytes) jpeg.push(chunk)
    }
    await ffmpeg.run(([url]) => build(url ?? ''), [take], { signal: AbortSignal.timeout(20_000) })
    const file = join(folder, 'picture.jpg')
    await writeFile(file, Buffer.concat(jpeg))
    return (await stockFfprobe('-show_entries', 'stream=codec_name,width,height', '-of', 'csv=p=0', file)).trim()
  }
  t.equal(await sizeOf((output) => posterCommand(plan, path, output)), 'mjpeg,320,180')
  t.equal(await sizeOf((output) => storyboardCommand(planStoryboard(plan.durationMs), joined, output)), 'mjpeg,800,450')
})

t.test('a video without sound has a master without a sound group', async (t) => {
  const path = await make('silent.mp4', ...picture('640x360', '30000/1001'), '-t', '7', ...H264)
  const result = await transcode(path)
  t.equal(result.audio.length, 0)
  t.notMatch(result.playlists.get('master.m3u8'), /AUDIO|mp4a/)
  t.ok(isPublishable(findings(result)))
  t.equal(result.plan.frameTicks, 1001)
  t.strictSame(
    result.video[0]?.records.map(({ durationTicks }) => durationTicks),
    [30_030, 30_030, 30_030, 30_030, 60_060, 30_030],
  )
})

t.test('a turned phone video comes out upright', async (t) => {
  const flat = await make('flat.mp4', ...picture('640x360', '30'), '-t', '2', ...H264)
  const path = await make('turned.mp4', '-i', flat, '-c', 'copy', '-metadata:s:v', 'rotate=90')
  const { source, playlists, folder } = await transcode(path)
  t.equal(source.video.rotation % 180, 90)
  t.match(playlists.get('master.m3u8'), /RESOLUTION=360x640/)
  const size = await stockFfprobe(
    '-show_entries',
    'stream=width,height',
    '-of',
    'csv=p=0',
    join(folder, 'r0/video-480p.m3u8'),
  )
  t.match(size, '360,640')
})

t.test('a variable frame rate becomes constant, with gaps filled and time kept', async (t) => {
  const gaps = "select='not(between(t,1,3))*not(between(n,120,124))'"
  const path = await make('vfr.mkv', ...picture('320x240', '30'), '-t', '6', '-vf', gaps, '-fps_mode', 'vfr', ...H264)
  const { source, plan, video } = await transcode(path)
  t.equal(source.video.variableFrameRate, true)
  t.strictSame([plan.frameRateNum, plan.frameRateDen], [30, 1])
  t.equal(plan.totalFrames, 180)
  t.equal(video[0]?.samples, 180)
})

t.test('odd sizes, wide pixels, 4:4:4 and interlaced fields', async (t) => {
  const odd = await make('odd.mkv', ...picture('641x361', '10'), '-t', '1', '-c:v', 'ffv1', '-pix_fmt', 'yuv444p')
  t.match((await transcode(odd)).playlists.get('master.m3u8'), /RESOLUTION=640x360/)

  const pal = [...picture('720x576', '25'), '-t', '2', '-vf', 'setsar=64/45,setfield=tff', '-flags', '+ilme+ildct']
  const wide = await transcode(await make('pal.mpg', ...pal, '-c:v', 'mpeg2video', '-b:v', '4M'))
  t.match(wide.playlists.get('master.m3u8'), /RESOLUTION=1024x576,FRAME-RATE=50.000/)
  t.equal(wide.plan.colour.mode, 'matrix', 'SD is converted from BT.601')
  t.ok(Math.abs((wide.video[0]?.samples ?? 0) - 100) <= 2, `two fields a frame, got ${wide.video[0]?.samples}`)
})

t.test('HDR is mapped to BT.709', async (t) => {
  const tags = [
    '-color_primaries',
    'bt2020',
    '-color_trc',
    'smpte2084',
    '-colorspace',
    'bt2020nc',
    '-color_range',
    'tv',
  ]
  const path = await make(
    'hdr.mkv',
    ...picture('320x180', '10'),
    '-t',
    '1',
    '-c:v',
    'ffv1',
    '-pix_fmt',
    'yuv420p10le',
    ...tags,
  )
  const { plan, folder } = await transcode(path)
  t.equal(plan.colour.mode, 'tonemap')
  const entries = 'stream=pix_fmt,color_range,color_space,color_transfer,color_primaries'
  const text = await stockFfprobe('-show_entries', entries, '-of', 'csv=p=0', join(folder, 'r0/video-180p.m3u8'))
  t.match(text, 'yuv420p,tv,bt709,bt709,bt709')
})

t.test('a picture that changes its size halfway stays one size', async (t) => {
  const ts = [...H264, '-f', 'mpegts']
  const [small, large] = [join(folder, 'small.ts'), join(folder, 'large.ts')]
  await stockFfmpeg(...picture('320x180', '25'), '-t', '2', ...ts, small)
  await stockFfmpeg(...picture('640x360', '25'), '-t', '2', ...ts, large)
  const path = join(folder, 'joined.ts')
  await writeFile(path, Buffer.concat([await readFile(small), await readFile(large)]))
  const { plan, video } = await transcode(path)
  t.equal(plan.totalFrames, 100, 'the jump of the clock is no part of the duration')
  t.ok(Math.abs((video[0]?.samples ?? 0) - 100) <= 2, `got ${video[0]?.samples} frames`)
})

t.test('a picture that starts after its sound stays that much later', async (t) => {
  const together = await make('together.mp4', ...flashAndBeep(25, 6), ...H264, '-c:a', 'aac')
  const delayed = ['-itsoffset', '0.507', '-i', together, '-i', together]
  const path = await make('late.mp4', ...delayed, '-map', '0:v', '-map', '1:a', '-c', 'copy')
  const { plan, source, audio, folder } = await transcode(path)
  t.ok(Math.abs(source.video.startTimeUs - 507_000) < 1000, `started at ${source.video.startTimeUs} µs`)
  t.ok(Math.abs(plan.originUs + 13_000) < 1000, 'zero lies 13 frames before the first, so that none is moved')
  const [track] = audio
  if (track === undefined) return t.fail('expected a sound track')
  const [seen, heard] = [await flashes(folder, 'video-180p.m3u8', 25), await beeps(folder, track)]
  const laterMs = ((seen[0] ?? 0) - (heard[0] ?? 0)) * 1000
  t.ok(Math.abs(laterMs - 507) <= 1, `expected 507 ms, got ${laterMs.toFixed(2)}`)
})

t.test('two chunks show the same pictures as the whole', async (t) => {
  const path = await make('chunks.mp4', ...picture('320x180', '25'), '-t', '10', ...H264, '-g', '100')
  const source = await mustProbe(ffmpeg, path)
  const whole = planRenditions(source, {
    ...ladder,
    renditions: ladder.renditions.map((r) => ({ ...r, crf: 0, profile: 'high444', maxrateBps: 1e8, bufsizeBits: 1e8 })),
  })
  const plan: TranscodePlan = {
    ...whole,
    chunks: [
      { index: 0, startFrame: 0, endFrame: 150, seekUs: null },
      { index: 1, startFrame: 150, endFrame: 250, seekUs: 5_900_000 },
    ],
  }
  const [once] = await transcodeVideo(ffmpeg, whole, path, join(folder, 'whole'))
  const [head] = await transcodeVideo(ffmpeg, plan, path, join(folder, 'chunk'), { chunk: 0 })
  const [tail] = await transcodeVideo(ffmpeg, plan, path, join(folder, 'chunk'), { chunk: 1 })
  t.strictSame([...(head?.decodeTimes ?? []), ...(tail?.decodeTimes ?? [])], once?.decodeTimes)
  t.strictSame(head?.init.bytes, tail?.init.bytes, 'one header serves both')
  const frames = async (base: string): Promise<string[]> => {
    const segments = Array.from({ length: once?.decodeTimes.length ?? 0 }, (_, index) => `0000${index}.m4s`)
    const parts = ['init.mp4', ...segments]
    const file = join(folder, `${base}.mp4`)
    await writeFile(
      file,
      Buffer.concat(await Promise.all(parts.map((part) => readFile(join(folder, base, 'video/180p', part))))),
    )
    const text = await stockFfmpeg('-i', file, '-f', 'framemd5', '-')
    return text
      .toString()
      .split('\n')
      .filter((line) => line.startsWith('0,'))
      .map((line) => line.split(',').at(-1)?.trim() ?? '')
  }
  const [expected, got] = [await frames('whole'), await frames('chunk')]
  t.equal(expected.length, 250)
  t.strictSame(got, expected)
})

t.test('what is no video is refused with a reason', async (t) => {
  const code = async (name: string, bytes: Uint8Array | string): Promise<string> => {
    const path = join(folder, name)
    await writeFile(path, bytes)
    const result = await probeFile(ffmpeg, path)
    return isRejection(result) ? result.code : 'accepted'
  }
  t.equal(await code('empty.mp4', ''), 'EMPTY')
  t.equal(await code('text.mp4', 'this is no video\n'.repeat(100)), 'NOT_MEDIA')
  const still = await stockFfmpeg(...picture('64x64', '1'), '-frames:v', '1', '-f', 'image2pipe', '-c:v', 'png', '-')
  t.equal(await code('still.mp4', still), 'IMAGE')
  const tone = await readFile(await make('tone.m4a', ...TONE, '-t', '1', '-c:a', 'aac'))
  t.equal(await code('tone.mp4', tone), 'NO_VIDEO')
  const mp3 = await readFile(await make('tone.mp3', ...TONE, '-t', '1'))
  t.equal(await code('mp3.mp4', mp3), 'NO_VIDEO')
  const moovLess = await readFile(await make('whole.mp4', ...picture('320x180', '25'), '-t', '1', ...H264))
  t.equal(await code('torn.mp4', moovLess.subarray(0, moovLess.length / 2)), 'UNREADABLE')
})

t.test('a playlist that is named .mp4 is refused without one connection', async (t) => {
  let connections = 0
  const server = createServer((_request, response) => {
    connections += 1
    response.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const address = server.address()
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/secret.ts`
  const documents = {
    hls: `#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\n${url}\n#EXT-X-ENDLIST\n`,
    concat: `ffconcat version 1.0\nfile '${url}'\n`,
    dash: `<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>${url}</BaseURL></MPD>`,
    sdp: `v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n`,
  }
  for (const [name, text] of Object.entries(documents)) {
    const path = join(folder, `${name}.mp4`)
    await writeFile(path, text)
    const result = await probeFile(ffmpeg, path)
    t.match(result, { code: 'NOT_MEDIA' }, name)
  }
  t.equal(connections, 0)
})
