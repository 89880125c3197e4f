/** Somewhere only so many may be at a time. */
export interface Turns {
  /** Resolves when it is our turn, first come, first served, with how to leave; leaving twice is leaving once. */
  enter(): Promise<() => void>
}

export const createTurns = (places: number): Turns => {
  const waiting: (() => void)[] = []
  let free = places
  const leaving = (): (() => void) => {
    let isInside = true
    return () => {
      if (!isInside) return
      isInside = false
      const next = waiting.shift()
      if (next === undefined) free += 1
      else next()
    }
  }
  return {
    async enter() {
      if (free > 0) free -= 1
      else await new Promise<void>((resolve) => void waiting.push(resolve))
      return leaving()
    },
  }
}
