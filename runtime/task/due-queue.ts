/**
 * What is due first, of many things that come and go: a binary heap. Nothing is taken out of its middle. What is over is
 * dropped when it has come to the top, or when there is more of it than of the rest, so that putting and taking cost
 * log n comparisons and looking costs none.
 */
export class DueQueue<T> {
  readonly #comesBefore: (a: T, b: T) => boolean
  readonly #isOver: (item: T) => boolean
  #heap: T[] = []
  /** Swept at this size. */
  #limit = LEAST_LIMIT

  constructor(comesBefore: (a: T, b: T) => boolean, isOver: (item: T) => boolean) {
    this.#comesBefore = comesBefore
    this.#isOver = isOver
  }

  /** With what is over and was not dropped yet. */
  get size(): number {
    return this.#heap.length
  }

  put(item: T): void {
    if (this.#heap.length >= this.#limit) this.#sweep()
    this.#heap.push(item)
    this.#rise(this.#heap.length - 1)
  }

  get first(): T | undefined {
    for (;;) {
      const [first] = this.#heap
      if (first === undefined || !this.#isOver(first)) return first
      this.#drop()
    }
  }

  /** The first that is none of these, which stay where they are. Costs as if they were taken. */
  firstBut(isPassedOver: (item: T) => boolean): T | undefined {
    const passed = this.#takeWhile(isPassedOver)
    const { first } = this
    for (const item of passed) this.put(item)
    return first
  }

  /** Everything up to the first that is not due, in order. It stays, until it is over. */
  upTo(isDue: (item: T) => boolean): readonly T[] {
    const due = this.#takeWhile(isDue)
    for (const item of due) this.put(item)
    return due
  }

  /** Each that is due, at any moment the first of all; what is put meanwhile is one of them. It stays, until it is over. */
  *each(isDue: (item: T) => boolean): Generator<T> {
    const seen: T[] = []
    try {
      for (let { first } = this; first !== undefined && isDue(first); first = this.first) {
        seen.push(first)
        this.#drop()
        yield first
      }
    } finally {
      for (const item of seen) if (!this.#isOver(item)) this.put(item)
    }
  }

  #takeWhile(holds: (item: T) => boolean): T[] {
    const taken: T[] = []
    for (let { first } = this; first !== undefined && holds(first); first = this.first) {
      taken.push(first)
      this.#drop()
    }
    return taken
  }

  #sweep(): void {
    this.#heap = this.#heap.filter((item) => !this.#isOver(item))
    this.#limit = Math.max(LEAST_LIMIT, 2 * this.#heap.length)
    for (let at = (this.#heap.length >> 1) - 1; at >= 0; at--) this.#sink(at)
  }

  #drop(): void {
    const last = this.#heap.pop() as T
    if (this.#heap.length === 0) return
    this.#heap[0] = last
    this.#sink(0)
  }

  #rise(from: number): void {
    for (let at = from; at > 0; ) {
      const parent = (at - 1) >> 1
      if (!this.#isBefore(at, parent)) return
      this.#swap(at, parent)
      at = parent
    }
  }

  #sink(from: number): void {
    for (let at = from; ; ) {
      const [left, right] = [2 * at + 1, 2 * at + 2]
      let least = at
      if (left < this.#heap.length && this.#isBefore(left, least)) least = left
      if (right < this.#heap.length && this.#isBefore(right, least)) least = right
      if (least === at) return
      this.#swap(at, least)
      at = least
    }
  }

  #isBefore(a: number, b: number): boolean {
    return this.#comesBefore(this.#heap[a] as T, this.#heap[b] as T)
  }

  #swap(a: number, b: number): void {
    const item = this.#heap[a] as T
    this.#heap[a] = this.#heap[b] as T
    this.#heap[b] = item
  }
}

const LEAST_LIMIT = 64
