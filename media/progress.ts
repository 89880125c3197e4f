/**
 * Reads `-progress` from the lines that FFmpeg writes to stderr, between its messages. Pure apart from what it keeps.
 * A block of key=value lines ends with `progress=continue` or `progress=end`.
 */
export interface Progress {
  /** Video frames given to the first output so far; 0 for sound. */
  readonly frames: number
  /** Output time reached, milliseconds. */
  readonly timeMs: number
  /** Encoding speed as a multiple of real time; null before FFmpeg knows. */
  readonly speed: number | null
  readonly finished: boolean
}

export interface ProgressReader {
  /** Takes one line of stderr. Says what it completes: a block of progress, a message of FFmpeg, or nothing yet. */
  read(line: string): { readonly progress: Progress } | { readonly message: string } | null
}

export const createProgressReader = (): ProgressReader => {
  let block = new Map<string, string>()
  return {
    read: (line) => {
      const [key, value] = splitOnce(line)
      if (value === null || !isProgressKey(key)) return line.trim() === '' ? null : { message: line }
      block.set(key, value)
      if (key !== 'progress') return null
      const progress = progressOf(block)
      block = new Map()
      return { progress }
    },
  }
}

const KEYS = new Set(
  'frame fps bitrate total_size out_time_us out_time_ms out_time dup_frames drop_frames speed progress'.split(' '),
)

const isProgressKey = (key: string): boolean => KEYS.has(key) || /^stream_\d+_\d+_(q|psnr_\w+)$/.test(key)

const progressOf = (block: ReadonlyMap<string, string>): Progress => ({
  frames: numberOf(block.get('frame')) ?? 0,
  timeMs: Math.round((numberOf(block.get('out_time_us')) ?? 0) / 1000),
  speed: numberOf(block.get('speed')?.replace(/x$/, '')),
  finished: block.get('progress') === 'end',
})

const numberOf = (text: string | undefined): number | null => {
  const value = Number.parseFloat(text ?? '')
  return Number.isFinite(value) ? value : null
}

const splitOnce = (line: string): [string, string | null] => {
  const at = line.indexOf('=')
  return at === -1 ? [line, null] : [line.slice(0, at), line.slice(at + 1).trim()]
}
