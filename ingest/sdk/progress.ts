export interface UploadProgress {
  /** Bytes that S3 has confirmed: whole parts. */
  readonly sentBytes: number
  readonly totalBytes: number
  /** Bytes per second over the last seconds; 0 until something is known. */
  readonly rateBps: number
  /** Null until something is known. */
  readonly etaMs: number | null
}

/** Long enough to hold several parts of a slow link, short enough to follow a change. */
const WINDOW_MS = 20_000

/** Counts confirmed bytes and how fast they came. Time spent paused does not count. */
export class ProgressMeter {
  readonly #totalBytes: number
  readonly #now: () => number
  #sentBytes = 0
  /** Where the window begins, and what came since. */
  #marks: { atMs: number; bytes: number }[] = []
  #pausedAtMs: number | null = null

  constructor(totalBytes: number, now: () => number = () => performance.now()) {
    this.#totalBytes = totalBytes
    this.#now = now
    this.#marks.push({ atMs: now(), bytes: 0 })
  }

  add(bytes: number): UploadProgress {
    this.#sentBytes += bytes
    this.#marks.push({ atMs: this.#now(), bytes })
    while (this.#marks.length > 2 && (this.#marks[1]?.atMs ?? 0) < this.#now() - WINDOW_MS) this.#marks.shift()
    return this.current()
  }

  pause(): void {
    this.#pausedAtMs ??= this.#now()
  }

  resume(): void {
    if (this.#pausedAtMs === null) return
    const pausedMs = this.#now() - this.#pausedAtMs
    this.#marks = this.#marks.map(({ atMs, bytes }) => ({ atMs: atMs + pausedMs, bytes }))
    this.#pausedAtMs = null
  }

  current(): UploadProgress {
    const [first, ...rest] = this.#marks
    const elapsedMs = (this.#pausedAtMs ?? this.#now()) - (first?.atMs ?? 0)
    const bytes = rest.reduce((sum, mark) => sum + mark.bytes, 0)
    const rateBps = elapsedMs > 0 ? (bytes * 1000) / elapsedMs : 0
    const leftBytes = this.#totalBytes - this.#sentBytes
    const etaMs = leftBytes === 0 ? 0 : rateBps > 0 ? (leftBytes * 1000) / rateBps : null
    return { sentBytes: this.#sentBytes, totalBytes: this.#totalBytes, rateBps, etaMs }
  }
}
