/**
 * How many parts are on their way at a time, found by trying.
 *
 * One connection rarely fills a line: each has its own congestion window, and pauses between parts. Too many only share
 * what there is, and each holds a part in memory. So it begins with four, as many as the AWS SDK sends at a time, and, each
 * time as many parts have arrived as are allowed at a time, compares the throughput of that window with the one before:
 *
 *     it grew by a tenth or more     half as many again, up to the bound
 *     it fell by more                back to what was before, and no attempt for some windows
 *     neither                        stay, and try again after some windows: lines change
 *
 * A failure (no answer, silence, 5xx) halves it: whoever answers so has too much to do. Parts that fail together count
 * once. Never below one. Windows are counted in parts, not in seconds, so a fast line is learnt fast.
 */
export class Parallelism {
  #max: number
  readonly #now: () => number
  #limit: number
  #limitBefore: number
  #bpsBefore = 0
  #quietWindows = 0
  #beganAtMs: number
  #parts = 0
  #bytes = 0

  /** @param max 1 or more */
  constructor(max: number, now: () => number = () => performance.now()) {
    this.#max = max
    this.#now = now
    this.#limit = Math.min(FIRST_LIMIT, max)
    this.#limitBefore = this.#limit
    this.#beganAtMs = now()
  }

  /** From now on no more than that, 1 or more. */
  bound(max: number): void {
    this.#max = Math.min(this.#max, max)
    this.#limit = Math.min(this.#limit, max)
    this.#limitBefore = Math.min(this.#limitBefore, max)
  }

  /** Parts that may be on their way now. */
  get limit(): number {
    return this.#limit
  }

  /** A part of so many bytes has arrived. */
  arrived(sizeBytes: number): void {
    this.#parts += 1
    this.#bytes += sizeBytes
    if (this.#parts < this.#limit) return
    const bps = (this.#bytes * 1000) / Math.max(1, this.#now() - this.#beganAtMs)
    this.beginWindow()
    if (this.#quietWindows > 0) this.#quietWindows -= 1
    else this.#learn(bps)
  }

  /** A try has failed, and not for a reason of its own bytes or signature. */
  failed(): void {
    // The siblings of one that failed before anything arrived in between fail of the same.
    if (this.#quietWindows === QUIET_WINDOWS && this.#parts === 0) return
    this.#settle(Math.max(1, Math.floor(this.#limit / 2)), 0)
  }

  /** What was measured so far does not count: nothing was sent for a while. */
  beginWindow(): void {
    this.#beganAtMs = this.#now()
    this.#parts = 0
    this.#bytes = 0
  }

  #learn(bps: number): void {
    if (bps < this.#bpsBefore * (2 - GAIN)) return this.#settle(this.#limitBefore, 0)
    if (bps < this.#bpsBefore * GAIN) return this.#settle(this.#limit, 0)
    this.#limitBefore = this.#limit
    this.#bpsBefore = bps
    this.#limit = Math.min(this.#max, this.#limit + Math.ceil(this.#limit / 2))
  }

  #settle(limit: number, bpsBefore: number): void {
    this.#limit = limit
    this.#limitBefore = limit
    this.#bpsBefore = bpsBefore
    this.#quietWindows = QUIET_WINDOWS
    this.beginWindow()
  }
}

const FIRST_LIMIT = 4
const GAIN = 1.1
const QUIET_WINDOWS = 8
