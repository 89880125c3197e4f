import { audioGraph, ladderGraph, posterGraph, renditionPad } from './filter-graph.ts'
import { PACKET_ENTRIES } from './packets.ts'
import type { AudioPlan, ChunkPlan, RenditionPlan, TranscodePlan } from './types.ts'

/**
 * Every command that we give to FFmpeg, as data. Pure builders with a reason beside each flag, pinned by golden tests:
 * a changed argument shows up as a changed test, never as a surprise in a video.
 *
 * What all commands share:
 *   - the input is opened with a whitelist of protocols and containers. Without it, a text file that is named x.mp4 and
 *     holds a playlist makes stock FFmpeg fetch the URLs inside it, from inside our network;
 *   - streams are named by their absolute index, so what was probed is what is encoded;
 *   - output goes to the URLs that the caller gives. media/ffmpeg.ts gives sockets, one per output: nothing of a running
 *     job is ever on a disk (see output-sockets.ts).
 *
 * Exit codes mean nothing: FFmpeg exits 0 when the connection to its input breaks. Callers compare frames with the plan.
 */
export interface FfmpegCommand {
  /** Global options and those of the input. */
  readonly inputOptions: readonly string[]
  readonly input: string
  /** null: no graph, every output selects its streams itself. */
  readonly filterGraph: string | null
  readonly outputs: readonly FfmpegOutput[]
}

export interface FfmpegOutput {
  readonly options: readonly string[]
  readonly url: string
}

/** The command as one argument vector, in the order that media/ffmpeg.ts runs it. */
export const argumentsOf = ({ inputOptions, input, filterGraph, outputs }: FfmpegCommand): readonly string[] => [
  ...inputOptions,
  '-i',
  input,
  ...(filterGraph === null ? [] : ['-filter_complex', filterGraph]),
  ...outputs.flatMap(({ options, url }) => [...options, url]),
]

/** What the whole ladder is made of in one process. `outputs[i]` receives `plan.renditions[i]`. */
export const videoCommand = (
  plan: TranscodePlan,
  chunk: ChunkPlan,
  input: string,
  outputs: readonly string[],
  threads: number,
): FfmpegCommand => ({
  inputOptions: [
    ...inputOptionsFor(input),
    // A picture that changes its size halfway goes through the same graph, whose scaler follows; the default rebuilds
    // the graph, which would start the constant-rate clock again at zero.
    ...['-reinit_filter', '0'],
    ...(chunk.seekUs === null ? [] : ['-ss', seconds(chunk.seekUs)]),
  ],
  input: inputUrl(input),
  filterGraph: ladderGraph(plan, chunk),
  outputs: plan.renditions.map((rendition, i) => ({
    options: videoOutput(plan, chunk, rendition, renditionPad(i), threads),
    url: outputs[i] ?? '',
  })),
})

/** All sound tracks in one process. `outputs[i]` receives `plan.audio[i]`. Always the whole file: see audioOutput. */
export const audioCommand = (plan: TranscodePlan, input: string, outputs: readonly string[]): FfmpegCommand => ({
  inputOptions: [...inputOptionsFor(input)],
  input: inputUrl(input),
  filterGraph: null,
  outputs: plan.audio.map((track, i) => ({ options: audioOutput(plan, track), url: outputs[i] ?? '' })),
})

/** One JPEG of the largest rendition's size, taken at a tenth of the video but not after 30 s. */
export const posterCommand = (plan: TranscodePlan, input: string, output: string): FfmpegCommand => {
  const [largest] = plan.renditions
  return {
    inputOptions: [...inputOptionsFor(input), '-ss', seconds(Math.min(plan.durationMs * 100, 30_000_000))],
    input: inputUrl(input),
    filterGraph: largest === undefined ? null : posterGraph(plan, largest),
    outputs: [
      {
        options: [
          ...['-map', '[poster]'],
          ...['-frames:v', '1'],
          // 2 is visibly perfect, 31 is worst; 4 is half the bytes of 2.
          ...['-c:v', 'mjpeg', '-q:v', '4'],
          ...['-map_metadata', '-1'],
          ...['-f', 'mjpeg'],
        ],
        url: output,
      },
    ],
  }
}

/** First look: container, streams, and the first packets of all streams, as one JSON document on stdout. */
export const probeArguments = (input: string): readonly string[] => [
  ...['-hide_banner', '-loglevel', 'error'],
  ...fenced(input),
  ...['-of', 'json', '-show_error', '-show_format', '-show_streams'],
  // Ten seconds of a usual file: enough to tell a constant rate from a variable one, and the same for an hour.
  ...['-show_packets', '-show_entries', PACKET_ENTRIES, '-read_intervals', '%+#1000'],
  inputUrl(input),
]

/** Second look, only when the first left a question: packets from `fromSeconds` to the end (null: all), line by line. */
export const packetArguments = (input: string, streamIndex: number, fromSeconds: number | null): readonly string[] => [
  ...['-hide_banner', '-loglevel', 'error'],
  ...fenced(input),
  ...['-select_streams', String(streamIndex)],
  ...['-of', 'compact', '-show_packets', '-show_entries', PACKET_ENTRIES],
  ...(fromSeconds === null ? [] : ['-read_intervals', `${Math.max(0, fromSeconds)}%`]),
  inputUrl(input),
]

/** Containers that we open. No playlists (hls, dash, concat), no devices (lavfi), no picture sequences. */
export const ALLOWED_FORMATS = 'mov,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg'

/** 8K and a margin. A header may claim any size; the decoder would allocate it. */
const MAX_PIXELS = 36_000_000

const quiet = [
  // Nobody answers questions here, and an inherited stdin would be read as keyboard commands.
  '-nostdin',
  '-hide_banner',
  ...['-loglevel', 'warning'],
  // Machine-readable progress on the pipe that we read anyhow, twice a second, instead of the human line.
  ...['-progress', 'pipe:2', '-nostats', '-stats_period', '0.5'],
]

const fenced = (input: string): readonly string[] => [
  ...['-protocol_whitelist', isHttp(input) ? 'http,tcp' : 'file'],
  ...['-format_whitelist', ALLOWED_FORMATS],
  ...['-max_pixels', String(MAX_PIXELS)],
]

/** What every command says about itself and its input. */
export const inputOptionsFor = (input: string): readonly string[] => [...quiet, ...fenced(input)]

const isHttp = (input: string): boolean => input.startsWith('http://')

/** With the scheme spelled out, a path that holds a colon or begins with a dash is still a path. */
export const inputUrl = (input: string): string =>
  isHttp(input) || input.startsWith('file:') ? input : `file:${input}`

const seconds = (us: number): string => String(Math.round(us) / 1_000_000)

const videoOutput = (
  plan: TranscodePlan,
  chunk: ChunkPlan,
  rendition: RenditionPlan,
  pad: string,
  threads: number,
): string[] => [
  ...['-map', pad],
  ...['-c:v', 'libx264', '-profile:v', rendition.profile, '-preset', rendition.preset],
  // Constant quality, capped: a slide costs little, confetti cannot exceed what the variant promises.
  ...[
    '-crf',
    String(rendition.crf),
    '-maxrate',
    String(rendition.maxrateBps),
    '-bufsize',
    String(rendition.bufsizeBits),
  ],
  // An IDR exactly every GOP and nowhere else, so that all renditions can be cut at the same frames.
  ...['-g', String(plan.gopFrames), '-keyint_min', String(plan.gopFrames), '-sc_threshold', '0'],
  ...keyframesOfShortSegments(plan, chunk),
  ...['-pix_fmt', 'yuv420p'],
  // The graph made BT.709; untagged video is shown in BT.601 by some players.
  ...['-color_primaries', 'bt709', '-color_trc', 'bt709', '-colorspace', 'bt709', '-color_range', 'tv'],
  // The number of encoder threads changes the bytes, so it is given and not left to the machine. That makes two runs
  // equal only while the rate cap is not reached: at the cap, x264 with more than one thread decides by what the other
  // threads have done so far (seen: three runs, three results; one thread: always the same).
  ...['-threads:v', String(threads)],
  // The graph's timestamps are the plan's grid; nothing may duplicate or drop frames behind it.
  ...['-fps_mode', 'passthrough'],
  ...['-video_track_timescale', String(plan.timescale)],
  ...fragmentedMp4,
  // A fragment per GOP: the unit of early publishing, and its first sample is the frame of the I-frame playlist.
  ...['-movflags', '+frag_keyframe', '-f', 'mp4'],
]

/**
 * Where a segment is shorter than a GOP the next one must begin with an IDR all the same; from each of them the encoder
 * counts its GOPs anew. `n` is the frame that goes in, from 0 in every chunk.
 */
const keyframesOfShortSegments = ({ firstSegmentFrames, gopFrames }: TranscodePlan, chunk: ChunkPlan): string[] => {
  const ends = firstSegmentFrames.map((_, i) => firstSegmentFrames.slice(0, i + 1).reduce((sum, n) => sum + n, 0))
  const forced = ends
    .filter((_, i) => (firstSegmentFrames[i] ?? 0) < gopFrames)
    .filter((end) => end > chunk.startFrame && end < chunk.endFrame)
    .map((end) => `eq(n,${end - chunk.startFrame})`)
  return forced.length === 0 ? [] : ['-force_key_frames', `expr:${forced.join('+')}`]
}

/**
 * AAC frames overlap: encoding a track in pieces gives a click and 26 ms of drift at each join, so a track is always
 * encoded in one go.
 */
const audioOutput = (plan: TranscodePlan, track: AudioPlan): string[] => [
  ...['-map', `0:${track.streamIndex}`],
  ...['-af', audioGraph(plan, track.sampleRate)],
  ...['-ac', String(track.channels), '-c:a', 'aac', '-b:a', String(track.bitrateBps)],
  ...fragmentedMp4,
  // A fragment per segment: sound needs no random access inside one.
  ...['-frag_duration', String(track.segmentMs * 1000), '-f', 'mp4'],
]

const fragmentedMp4 = [
  // Titles, GPS positions and chapters of the source are not part of what is published.
  ...['-map_metadata', '-1', '-map_chapters', '-1'],
  // Keeps the first decode times as they are; the default would move the whole track.
  ...['-avoid_negative_ts', 'disabled'],
  // Hands each fragment over as soon as it is complete.
  ...['-flush_packets', '1'],
  // cmaf: negative composition offsets instead of an edit list. dash + skip_sidx: no index that we would drop again.
  // delay_moov: the header is written when the codec's configuration is known. frag_discont: true decode times from the
  // first fragment on. skip_trailer: no index at the end, which a stream has no use for.
  ...['-movflags', '+cmaf+dash+delay_moov+frag_discont+skip_sidx+skip_trailer'],
]
