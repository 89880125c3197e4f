export interface UploadProgress {
  /** Bytes that have left. Those of a part that must be sent again are taken back. */
  readonly sentBytes: number
  readonly totalBytes: number
  /** Bytes per second over the last seconds; 0 until something is known. */
  readonly rateBps: number
  /** Null until something is known. */
  readonly etaMs: number | null
}

/** Long enough to smooth a link that comes in bursts, short enough to follow a change. */
const WINDOW_MS = 20_000
/** Bytes leave in thousands of pieces a second; nobody looks that often. */
const TELL_EVERY_MS = 100

interface Mark {
  readonly atMs: number
  readonly sentBytes: number
}

/** Counts what has left of each part, and how fast. Time spent paused does not count. */
export class ProgressMeter {
  readonly #totalBytes: number
  readonly #tell: (progress: UploadProgress) => void
  readonly #now: () => number
  readonly #sentOfPart = new Map<number, number>()
  /** Oldest first; the first is where the window begins. */
  #marks: Mark[]
  #toldAtMs: number
  #pausedAtMs: number | null = null

  /** @param tell called at most ten times a second, and for every whole part */
  constructor(totalBytes: number, tell: (progress: UploadProgress) => void, now = () => performance.now()) {
    this.#totalBytes = totalBytes
    this.#tell = tell
    this.#now = now
    this.#toldAtMs = now()
    this.#marks = [{ atMs: this.#toldAtMs, sentBytes: 0 }]
  }

  /** So many bytes of the part have left by now; 0 = it must be sent again. */
  partSent(partNumber: number, sentBytes: number): void {
    this.#sentOfPart.set(partNumber, sentBytes)
    if (this.#pausedAtMs === null && this.#now() - this.#toldAtMs >= TELL_EVERY_MS) this.#say()
  }

  /** All of the part has left, and S3 has it. */
  partStored(partNumber: number, sizeBytes: number): void {
    this.#sentOfPart.set(partNumber, sizeBytes)
    this.#say()
  }

  pause(): void {
    this.#pausedAtMs ??= this.#now()
  }

  resume(): void {
    if (this.#pausedAtMs === null) return
    const pausedMs = this.#now() - this.#pausedAtMs
    this.#marks = this.#marks.map((mark) => ({ ...mark, atMs: mark.atMs + pausedMs }))
    this.#pausedAtMs = null
  }

  #say(): void {
    const atMs = this.#pausedAtMs ?? this.#now()
    const sentBytes = [...this.#sentOfPart.values()].reduce((sum, bytes) => sum + bytes, 0)
    this.#toldAtMs = this.#now()
    this.#marks.push({ atMs, sentBytes })
    while (this.#marks.length > 2 && (this.#marks[1]?.atMs ?? 0) < atMs - WINDOW_MS) this.#marks.shift()
    const [first] = this.#marks
    const elapsedMs = atMs - (first?.atMs ?? atMs)
    const rateBps = elapsedMs > 0 ? Math.max(0, ((sentBytes - (first?.sentBytes ?? 0)) * 1000) / elapsedMs) : 0
    const leftBytes = this.#totalBytes - sentBytes
    const etaMs = leftBytes === 0 ? 0 : rateBps > 0 ? (leftBytes * 1000) / rateBps : null
    this.#tell({ sentBytes, totalBytes: this.#totalBytes, rateBps, etaMs })
  }
}
