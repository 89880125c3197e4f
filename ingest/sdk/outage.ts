/** For how long nobody's answering is borne, and who is told that it is. Of one upload, over all of its requests. */
export class Outage {
  readonly #giveUpAfterMs: number
  readonly #onChange: (isWaiting: boolean) => void
  #giveUpAtMs = Number.POSITIVE_INFINITY
  #answeredAtMs = Number.NEGATIVE_INFINITY
  #isWaiting = false

  /** @param onChange told when nobody answers any more, and when somebody does again */
  constructor(giveUpAfterMs: number, onChange: (isWaiting: boolean) => void = () => undefined) {
    this.#giveUpAfterMs = giveUpAfterMs
    this.#onChange = onChange
  }

  /** There is nothing to wait for then. @param atMs since 1970 */
  endAt(atMs: number): void {
    this.#giveUpAtMs = atMs
  }

  /** Whether a request that nobody has answered since then is to be given up. */
  isOver(sinceMs: number): boolean {
    const nowMs = Date.now()
    return nowMs - sinceMs >= this.#giveUpAfterMs || nowMs >= this.#giveUpAtMs
  }

  /** A request failed again and again since then. While others are answered, that is its own affair. */
  silentSince(sinceMs: number): void {
    if (this.#answeredAtMs <= sinceMs) this.#wait(true)
  }

  answered(): void {
    this.#answeredAtMs = Date.now()
    this.#wait(false)
  }

  #wait(isWaiting: boolean): void {
    if (this.#isWaiting === isWaiting) return
    this.#isWaiting = isWaiting
    this.#onChange(isWaiting)
  }
}
