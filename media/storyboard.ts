import { type FfmpegCommand, inputOptionsFor, inputUrl } from './arguments.ts'

/**
 * The storyboard: one picture of many small ones that players show while somebody drags the time bar, and a WebVTT file
 * that says which piece belongs to which time. Pure.
 *
 * Taken from the finished smallest rendition, not from the source: the pictures are no larger than that, its IDRs come
 * every 2 s, and decoding only those costs 18 times less.
 */
export interface Storyboard {
  readonly columns: number
  readonly rows: number
  /** Of one piece. A picture of another shape is centred on black. */
  readonly width: number
  readonly height: number
  /** Pieces in use, from the top left, row by row. */
  readonly count: number
  /** Milliseconds that one piece stands for; the last may stand for less. */
  readonly intervalMs: number
  readonly durationMs: number
}

/** 5 x 5 pieces of 160 x 90, evenly over the video, but not more than one a second. */
export const planStoryboard = (durationMs: number): Storyboard => {
  const count = Math.min(COLUMNS * ROWS, Math.max(1, Math.floor(durationMs / SHORTEST_INTERVAL_MS)))
  const shape = { columns: COLUMNS, rows: ROWS, width: 160, height: 90 }
  return { ...shape, count, intervalMs: Math.ceil(durationMs / count), durationMs }
}

/** Reads `input` (a rendition as one fMP4 file or its media playlist's parts joined) and writes one JPEG. */
export const storyboardCommand = (board: Storyboard, input: string, output: string): FfmpegCommand => ({
  inputOptions: [...inputOptionsFor(input), ...(board.intervalMs >= IDR_MS ? ['-skip_frame', 'nokey'] : [])],
  input: inputUrl(input),
  filterGraph: null,
  outputs: [
    {
      options: [
        ...['-map', '0:v:0', '-frames:v', '1'],
        ...['-vf', storyboardFilter(board)],
        ...['-c:v', 'mjpeg', '-q:v', '5', '-f', 'mjpeg'],
      ],
      url: output,
    },
  ],
})

/** One cue per piece (W3C media fragments, `#xywh=`). `imageUri` is relative to the VTT file. */
export const storyboardVtt = (board: Storyboard, imageUri: string): string => {
  const cues = Array.from({ length: board.count }, (_, i) => {
    const [startMs, endMs] = [i * board.intervalMs, Math.min((i + 1) * board.intervalMs, board.durationMs)]
    const [x, y] = [(i % board.columns) * board.width, Math.floor(i / board.columns) * board.height]
    return `${vttTime(startMs)} --> ${vttTime(endMs)}\n${imageUri}#xywh=${x},${y},${board.width},${board.height}\n`
  })
  return ['WEBVTT\n', ...cues].join('\n')
}

const COLUMNS = 5
const ROWS = 5
const SHORTEST_INTERVAL_MS = 1000
/** The distance of IDRs in our renditions, with a margin for 29.97 Hz. */
const IDR_MS = 2500

const storyboardFilter = ({ columns, rows, width, height, count, intervalMs }: Storyboard): string =>
  [
    `fps=1000/${intervalMs}:start_time=0:round=down`,
    `trim=end_frame=${count}`,
    `scale=${width}:${height}:force_original_aspect_ratio=decrease:in_color_matrix=bt709:out_color_matrix=bt601:out_range=pc`,
    `pad=${width}:${height}:-1:-1`,
    'format=yuvj420p',
    `tile=${columns}x${rows}`,
  ].join(',')

const vttTime = (ms: number): string => {
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0')
  return `${two(ms / 3_600_000)}:${two((ms / 60_000) % 60)}:${two((ms / 1000) % 60)}.${String(ms % 1000).padStart(3, '0')}`
}
