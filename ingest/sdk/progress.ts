export interface UploadProgress {
  /** Bytes that have left, and those that were there already. Those of a part that must be sent again are taken back. */
  readonly sentBytes: number
  /** Of these, what an earlier attempt or another client had stored: compared here, not sent. */
  readonly resumedBytes: number
  /** Null as long as a stream has not ended. */
  readonly totalBytes: number | null
  /** Whole bytes sent per second over the last seconds; 0 until something is known. */
  readonly rateBps: number
  /** Whole milliseconds; 0 when nothing is left, null until something is known. */
  readonly etaMs: number | null
}

/** Long enough to smooth a link that comes in bursts, short enough to follow a change. */
const WINDOW_MS = 20_000
/** Bytes leave in thousands of pieces a second; nobody looks that often. */
const TELL_EVERY_MS = 100

interface Mark {
  readonly atMs: number
  readonly movedBytes: number
}

/** Counts what has left of each part, and how fast. Time spent paused does not count, nor do parts that were there. */
export class ProgressMeter {
  readonly #tell: (progress: UploadProgress) => void
  readonly #now: () => number
  readonly #movedOfPart = new Map<number, number>()
  #totalBytes: number | null
  #movedBytes = 0
  #resumedBytes = 0
  /** Oldest first; the first is where the window begins. */
  #marks: Mark[]
  #toldAtMs: number
  #pausedAtMs: number | null = null
  #isOver = false

  /** @param tell called at most ten times a second, and for every whole part that was sent */
  constructor(totalBytes: number | null, tell: (progress: UploadProgress) => void, now = () => performance.now()) {
    this.#totalBytes = totalBytes
    this.#tell = tell
    this.#now = now
    this.#toldAtMs = now()
    this.#marks = [{ atMs: this.#toldAtMs, movedBytes: 0 }]
  }

  /** So many bytes of the part have left by now; 0 = it must be sent again. */
  partSent(partNumber: number, sentBytes: number): void {
    this.#move(partNumber, sentBytes)
    this.#sayNowAndThen()
  }

  /** All of the part has left, and S3 has it. */
  partStored(partNumber: number, sizeBytes: number): void {
    this.#move(partNumber, sizeBytes)
    this.#say()
  }

  /** An earlier attempt, or another client, had stored these bytes. */
  partFound(sizeBytes: number): void {
    this.#resumedBytes += sizeBytes
    // Before the first byte that is sent there is no rate: finding parts takes time, too.
    if (this.#movedBytes === 0) this.#marks = [{ atMs: this.#now(), movedBytes: 0 }]
    this.#sayNowAndThen()
  }

  /** The stream has ended: this is how long it was. */
  ended(totalBytes: number): void {
    this.#totalBytes = totalBytes
    this.#say()
  }

  /** All of it is stored, whoever sent what is left: the last word. */
  completed(totalBytes: number): void {
    this.#totalBytes = totalBytes
    this.#resumedBytes = totalBytes - this.#movedBytes
    this.#say()
    this.#isOver = true
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

  #move(partNumber: number, bytes: number): void {
    this.#movedBytes += bytes - (this.#movedOfPart.get(partNumber) ?? 0)
    this.#movedOfPart.set(partNumber, bytes)
  }

  #sayNowAndThen(): void {
    if (this.#pausedAtMs === null && this.#now() - this.#toldAtMs >= TELL_EVERY_MS) this.#say()
  }

  #say(): void {
    if (this.#isOver) return
    const atMs = this.#pausedAtMs ?? this.#now()
    this.#toldAtMs = this.#now()
    this.#marks.push({ atMs, movedBytes: this.#movedBytes })
    while (this.#marks.length > 2 && (this.#marks[1]?.atMs ?? 0) < atMs - WINDOW_MS) this.#marks.shift()
    const [first] = this.#marks
    const elapsedMs = atMs - (first?.atMs ?? atMs)
    const movedBytes = this.#movedBytes - (first?.movedBytes ?? 0)
    const rateBps = elapsedMs > 0 ? Math.max(0, Math.round((movedBytes * 1000) / elapsedMs)) : 0
    const sentBytes = this.#movedBytes + this.#resumedBytes
    const etaMs = etaOf(this.#totalBytes === null ? null : this.#totalBytes - sentBytes, rateBps)
    this.#tell({ sentBytes, resumedBytes: this.#resumedBytes, totalBytes: this.#totalBytes, rateBps, etaMs })
  }
}

const etaOf = (leftBytes: number | null, rateBps: number): number | null => {
  if (leftBytes === 0) return 0
  return leftBytes === null || rateBps === 0 ? null : Math.ceil((leftBytes * 1000) / rateBps)
}
