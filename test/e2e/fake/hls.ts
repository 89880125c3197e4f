/** A real HLS presentation of a test picture, made by ffmpeg in a few seconds: three sizes, sound apart, fMP4. */
import { execFile } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'

export interface FakeHls {
  readonly folder: string
  readonly durationMs: number
}

const SIZES = [
  { name: '720p', size: '1280x720', maxrate: '2800k', bufsize: '4200k' },
  { name: '480p', size: '854x480', maxrate: '1200k', bufsize: '1800k' },
  { name: '180p', size: '320x180', maxrate: '200k', bufsize: '300k' },
] as const

export const makeHls = async (folder: string, seconds: number): Promise<FakeHls> => {
  await mkdir(folder, { recursive: true })
  const split = `[0:v]split=${SIZES.length}${SIZES.map((_, i) => `[s${i}]`).join('')}`
  const scales = SIZES.map(({ size }, i) => `[s${i}]scale=${size},setsar=1[v${i}]`)
  const videos = SIZES.flatMap(({ maxrate, bufsize }, i) => [
    ...['-map', `[v${i}]`, `-c:v:${i}`, 'libx264', `-maxrate:v:${i}`, maxrate, `-bufsize:v:${i}`, bufsize],
  ])
  await promisify(execFile)('ffmpeg', [
    ...['-hide_banner', '-loglevel', 'error', '-y'],
    ...['-f', 'lavfi', '-i', `testsrc2=size=1280x720:rate=25:duration=${seconds}`],
    ...['-f', 'lavfi', '-i', `sine=frequency=330:sample_rate=48000:duration=${seconds}`],
    ...['-filter_complex', [split, ...scales].join(';'), ...videos],
    ...[
      '-preset',
      'ultrafast',
      '-crf',
      '25',
      '-pix_fmt',
      'yuv420p',
      '-g',
      '50',
      '-keyint_min',
      '50',
      '-sc_threshold',
      '0',
    ],
    ...['-map', '1:a', '-c:a', 'aac', '-b:a', '128k', '-ac', '2'],
    ...['-f', 'hls', '-hls_time', '2', '-hls_playlist_type', 'vod', '-hls_segment_type', 'fmp4'],
    ...['-hls_flags', 'independent_segments', '-master_pl_name', 'master.m3u8'],
    ...[
      '-var_stream_map',
      `${SIZES.map(({ name }, i) => `v:${i},agroup:a,name:${name}`).join(' ')} a:0,agroup:a,name:aac`,
    ],
    ...['-hls_fmp4_init_filename', 'init_%v.mp4', '-hls_segment_filename', path.join(folder, '%v_%05d.m4s')],
    path.join(folder, '%v.m3u8'),
  ])
  await makePictures(folder, seconds)
  return { folder, durationMs: seconds * 1000 }
}

const TILE = { width: 160, height: 90, columns: 5 }

/** Poster, and a storyboard of one picture a second: a sprite and the WebVTT that says where in it each is. */
const makePictures = async (folder: string, seconds: number): Promise<void> => {
  const picture = [
    '-hide_banner',
    '-loglevel',
    'error',
    '-y',
    '-f',
    'lavfi',
    '-i',
    `testsrc2=size=1280x720:duration=${seconds}`,
  ]
  const { width, height, columns } = TILE
  const tiles = `fps=1,scale=${width}:${height},tile=${columns}x${Math.ceil(seconds / columns)}`
  const run = (args: readonly string[]) => promisify(execFile)('ffmpeg', [...picture, ...args])
  await Promise.all([
    run(['-frames:v', '1', path.join(folder, 'poster.jpg')]),
    run(['-frames:v', '1', '-vf', tiles, path.join(folder, 'storyboard.jpg')]),
  ])
  const at = (second: number) => `00:${new Date(second * 1000).toISOString().slice(14, 19)}.000`
  const cues = Array.from({ length: seconds }, (_, second) => {
    const [x, y] = [(second % columns) * width, Math.floor(second / columns) * height]
    return `${at(second)} --> ${at(second + 1)}\nstoryboard.jpg#xywh=${x},${y},${width},${height}\n`
  })
  await writeFile(path.join(folder, 'storyboard.vtt'), ['WEBVTT\n', ...cues].join('\n'))
}

/** The first `count` segments of a media playlist, as it looks while a video grows; all of it when `count` is null. */
export const growingPlaylist = async (file: string, count: number | null): Promise<string> => {
  const text = await readFile(file, 'utf8')
  if (count === null) return text
  const [head = '', ...segments] = text.split(/(?=#EXTINF)/)
  return [
    head.replace('#EXT-X-PLAYLIST-TYPE:VOD', '#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-START:TIME-OFFSET=0'),
    ...segments.slice(0, count).map((segment) => segment.replace('#EXT-X-ENDLIST', '').trimEnd()),
    '',
  ].join('\n')
}
