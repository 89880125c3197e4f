export interface InputPorts {
  /** Fetching of an input: positioned before it is resumed. */
  readonly seek: (topic: string, offset: bigint) => void
  readonly resume: (topic: string) => void
  readonly pause: (topic: string) => void
}

/** The fetching of all inputs of a task. What is delivered while it is off belongs to an opening that was discarded. */
export class InputFetching {
  readonly #ports: InputPorts
  readonly #topics: readonly string[]
  #isOn = false
  #isEnded = false

  constructor(ports: InputPorts, topics: readonly string[]) {
    this.#ports = ports
    this.#topics = topics
  }

  /** Sought and resumed: what is delivered continues at the position. */
  get isOn(): boolean {
    return this.#isOn
  }

  startAt(positionOf: (topic: string) => bigint | undefined): void {
    if (this.#isEnded) return
    this.#isOn = true
    for (const topic of this.#topics) {
      this.#ports.seek(topic, positionOf(topic) ?? 0n)
      this.#ports.resume(topic)
    }
  }

  off(): void {
    this.#isOn = false
  }

  pause(): void {
    if (!this.#isEnded) this.#topics.forEach(this.#ports.pause)
  }

  resume(): void {
    if (!this.#isEnded) this.#topics.forEach(this.#ports.resume)
  }

  /**
   * For good: the task is given up. While it lets go of what runs it may become this process's own again, and then its
   * inputs are the next opening's, whose position is not known yet.
   */
  end(): void {
    this.pause()
    this.#isOn = false
    this.#isEnded = true
  }
}
