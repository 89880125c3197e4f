import t from 'tap'
import { argumentsOf, audioCommand, packetArguments, posterCommand, probeArguments, videoCommand } from './arguments.ts'
import { readLadder } from './ladder-file.ts'
import { planRenditions } from './plan.ts'
import { ENCODE_LIMITS, guardArguments } from './process-guard.ts'
import { createProgressReader } from './progress.ts'
import { anAudioStream, aSource } from './testing.ts'
import type { ChunkPlan, TranscodePlan } from './types.ts'

// Golden: the whole command, so that any change of it is seen and meant.
const plan = planRenditions(aSource(), readLadder())
const whole: ChunkPlan = { index: 0, startFrame: 0, endFrame: plan.totalFrames, seekUs: null }
const planned = (...source: Parameters<typeof aSource>): TranscodePlan =>
  planRenditions(aSource(...source), readLadder())
const graphOf = (...source: Parameters<typeof aSource>) =>
  videoCommand(planned(...source), whole, 'x', [], 2).filterGraph ?? ''

const QUIET = '-nostdin -hide_banner -loglevel warning -progress pipe:2 -nostats -stats_period 0.5'
const FENCE = '-format_whitelist mov,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg -max_pixels 36000000'
const MP4 =
  '-map_metadata -1 -map_chapters -1 -avoid_negative_ts disabled -flush_packets 1 -movflags +cmaf+dash+delay_moov+frag_discont+skip_sidx+skip_trailer'
const x264 = (pad: string, maxrate: number, bufsize: number, url: string) =>
  `-map ${pad} -c:v libx264 -profile:v high -preset veryfast -crf 23 -maxrate ${maxrate} -bufsize ${bufsize} -g 50 -keyint_min 50 -sc_threshold 0 -force_key_frames expr:eq(n,25)+eq(n,50)+eq(n,75)+eq(n,100) -pix_fmt yuv420p -color_primaries bt709 -color_trc bt709 -colorspace bt709 -color_range tv -threads:v 3 -fps_mode passthrough -video_track_timescale 12800 ${MP4} -movflags +frag_keyframe -f mp4 ${url}`

t.test('the whole ladder in one process', async (t) => {
  const command = videoCommand(plan, whole, 'http://127.0.0.1:8080/token', ['unix:/0', 'unix:/1', 'unix:/2'], 3)
  t.equal(
    argumentsOf(command).join(' '),
    [
      `${QUIET} -protocol_whitelist http,tcp ${FENCE} -reinit_filter 0 -i http://127.0.0.1:8080/token -filter_complex`,
      '[0:0]fps=25/1:start_time=0,trim=end_pts=250,scale=1280:720,format=yuv420p,setsar=1,split[v0][t0];[t0]scale=854:480,setsar=1,split[v1][t1];[t1]scale=320:180,setsar=1[v2]',
      x264('[v0]', 2_800_000, 4_200_000, 'unix:/0'),
      x264('[v1]', 1_200_000, 1_800_000, 'unix:/1'),
      x264('[v2]', 200_000, 300_000, 'unix:/2'),
    ].join(' '),
  )
})

t.test('a later chunk seeks, and keeps the time of the whole', async (t) => {
  const command = videoCommand(plan, { index: 1, startFrame: 150, endFrame: 250, seekUs: 5_900_000 }, '/in', [], 3)
  t.match(command.inputOptions.join(' '), '-ss 5.9')
  t.match(command.filterGraph, 'setpts=PTS+5.9/TB,fps=25/1:start_time=6,trim=start_pts=150:end_pts=250,')
  t.notMatch(command.outputs[0]?.options.join(' '), 'force_key_frames', 'short segments are the first ones')
  const early = videoCommand(plan, { index: 1, startFrame: 50, endFrame: 90, seekUs: 1_900_000 }, '/in', [], 3)
  t.match(early.outputs[0]?.options.join(' '), '-force_key_frames expr:eq(n,25) ')
})

t.test('sound', async (t) => {
  const command = audioCommand(plan, '/in', ['unix:/0'])
  t.equal(
    argumentsOf(command).join(' '),
    [
      `${QUIET} -protocol_whitelist file ${FENCE} -i file:/in -map 0:1`,
      '-af aresample=48000:async=1000:first_pts=0,apad=whole_dur=10,atrim=start_sample=1024',
      `-ac 2 -c:a aac -b:a 128000 ${MP4} -frag_duration 6000000 -f mp4 unix:/0`,
    ].join(' '),
  )
  const two = planned({}, [anAudioStream(), anAudioStream({ streamIndex: 2 })])
  t.equal(audioCommand(two, '/in', ['a', 'b']).outputs.length, 2)
})

t.test('picture and sound are cut against the same origin', async (t) => {
  const late = planned({ startTimeUs: 507_000 }, [anAudioStream()])
  t.equal(late.originUs, -13_000)
  t.match(videoCommand(late, whole, 'x', [], 2).filterGraph, '[0:0]setpts=PTS+0.013/TB,fps')
  t.match(audioCommand(late, 'x', []).outputs[0]?.options.join(' '), 'asetpts=PTS+0.013/TB,aresample')
})

t.test('colours and fields', async (t) => {
  const colour = (space: string, transfer: string, primaries: string, range = 'tv') => ({
    colour: { space, transfer, primaries, range },
  })
  t.match(graphOf({ interlaced: true }), '[0:0]bwdif=mode=send_field:deint=interlaced,fps=50/1')
  t.match(
    graphOf(colour('smpte170m', 'smpte170m', 'smpte170m')),
    'scale=1280:720:in_color_matrix=smpte170m:out_color_matrix=bt709:out_range=tv,format=yuv420p',
  )
  t.match(
    graphOf(colour('bt709', 'bt709', 'bt709', 'pc')),
    'scale=1280:720:in_color_matrix=bt709:in_range=pc:out_color_matrix=bt709:out_range=tv',
  )
  t.match(
    graphOf(colour('bt2020nc', 'smpte2084', 'bt2020')),
    'scale=1280:720,zscale=pin=bt2020:tin=smpte2084:min=bt2020nc:rin=tv:t=linear:npl=203,format=gbrpf32le,zscale=p=bt709,tonemap=hable:desat=0,zscale=t=bt709:m=bt709:r=tv,format=yuv420p',
  )
  t.match(
    graphOf(colour('bt709', 'bt709', 'smpte432')),
    'scale=1280:720,zscale=pin=smpte432:tin=bt709:min=bt709:rin=tv:t=linear,format=gbrpf32le,zscale=p=bt709,zscale=t=bt709:m=bt709:r=tv,format=yuv420p',
  )
  t.match(
    graphOf({ pixelFormat: 'yuva420p' }),
    'format=gbrap,premultiply=inplace=1,format=gbrp,scale=1280:720:out_color',
  )
})

t.test('one rendition needs no split', async (t) => {
  t.notMatch(graphOf({ width: 100, height: 60 }), 'split')
})

t.test('poster', async (t) => {
  t.equal(
    argumentsOf(posterCommand(plan, '/in', 'unix:/0')).join(' '),
    [
      `${QUIET} -protocol_whitelist file ${FENCE} -ss 1 -i file:/in -filter_complex`,
      '[0:0]scale=1280:720,format=yuv420p,setsar=1,scale=in_color_matrix=bt709:out_color_matrix=bt601:out_range=pc,format=yuvj420p[poster]',
      '-map [poster] -frames:v 1 -c:v mjpeg -q:v 4 -map_metadata -1 -f mjpeg unix:/0',
    ].join(' '),
  )
})

t.test('probes', async (t) => {
  t.equal(
    probeArguments('/in').join(' '),
    `-hide_banner -loglevel error -protocol_whitelist file ${FENCE} -of json -show_error -show_format -show_streams -show_packets -show_entries packet=stream_index,pts,dts,duration -read_intervals %+#1000 file:/in`,
  )
  t.match(packetArguments('/in', 3, 55).join(' '), '-select_streams 3')
  t.match(packetArguments('/in', 3, 55).join(' '), '-read_intervals 55%')
  t.notMatch(packetArguments('/in', 3, null).join(' '), 'read_intervals')
})

t.test('a path is never taken for an option or a protocol', async (t) => {
  t.equal(videoCommand(plan, whole, '-i', [], 2).input, 'file:-i')
  t.equal(videoCommand(plan, whole, 'concat:a|b', [], 2).input, 'file:concat:a|b')
})

t.test('the guard uses what the machine has', async (t) => {
  const tools = { prlimit: '/usr/bin/prlimit', setpriv: '/usr/bin/setpriv', nice: '/usr/bin/nice' }
  t.equal(
    guardArguments(tools, ENCODE_LIMITS).join(' '),
    'env -i LC_ALL=C /usr/bin/prlimit --as=8589934592 --fsize=1048576 --nofile=256 --core=0 /usr/bin/setpriv --pdeathsig KILL --no-new-privs /usr/bin/nice -n 5',
  )
  t.equal(guardArguments({ prlimit: null, setpriv: null, nice: null }, ENCODE_LIMITS).join(' '), 'env -i LC_ALL=C')
})

t.test('progress is told from messages', async (t) => {
  const reader = createProgressReader()
  const lines = ['frame=12', 'fps=25.0', 'stream_0_0_q=28.0', 'out_time_us=480000', 'a=b is a message', 'speed=1.5x']
  t.strictSame(
    lines.map((line) => reader.read(line)),
    [null, null, null, null, { message: 'a=b is a message' }, null],
  )
  t.strictSame(reader.read('progress=continue'), {
    progress: { frames: 12, timeMs: 480, speed: 1.5, finished: false },
  })
  reader.read('speed=N/A')
  t.strictSame(reader.read('progress=end'), { progress: { frames: 0, timeMs: 0, speed: null, finished: true } })
})
