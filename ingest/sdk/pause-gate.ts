/** What a pause holds up, and what it ends. */
export class PauseGate {
  readonly #ended: AbortSignal
  #running = new AbortController()
  #opened: PromiseWithResolvers<void> | null = null

  /** @param ended the end of everything: nothing waits for it, and it is never undone */
  constructor(ended: AbortSignal) {
    this.#ended = ended
    ended.addEventListener('abort', () => {
      this.#running.abort(ended.reason)
      this.#opened?.resolve()
    })
  }

  /** Aborts when the pause begins: what is on its way is to stop. Another one after each pause. */
  get signal(): AbortSignal {
    return this.#running.signal
  }

  close(): void {
    this.#opened ??= Promise.withResolvers()
    this.#running.abort()
  }

  open(): void {
    if (this.#opened === null || this.#ended.aborted) return
    this.#running = new AbortController()
    this.#opened.resolve()
    this.#opened = null
  }

  /** Resolves at once, or when the pause is over. Rejects with the reason of the end. */
  async pass(): Promise<void> {
    await this.#opened?.promise
    this.#ended.throwIfAborted()
  }
}
