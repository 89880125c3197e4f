import type { PartFacts, PreparedPart } from './send-part.ts'
import type { SourcePart, SourceParts } from './source-parts.ts'

/** Reads and hashes parts, and keeps what is known of each. */
export interface PartReader {
  /** The next part; undefined after the last one. Calls may overlap. */
  next(): Promise<PreparedPart | undefined>
  /** As the source's: whether the part has another turn, behind those that are left. */
  later(partNumber: number): boolean
  /** As the source's: nobody looks at the part's bytes again. */
  release(part: PreparedPart): void
  /** Resolves when nothing is being read; rejects when something could not be. */
  settled(): Promise<void>
}

/** @param facts where each is noted by its number, before `next` resolves */
export const createPartReader = (parts: SourceParts, facts: Map<number, PartFacts>): PartReader => {
  const reads = new Set<Promise<unknown>>()
  const read = async (): Promise<PreparedPart | undefined> => {
    const part = await parts.next()
    if (part === undefined) return undefined
    const prepared = await preparePart(part)
    const { partNumber, sizeBytes, checksumSha256 } = prepared
    facts.set(partNumber, { partNumber, sizeBytes, checksumSha256 })
    return prepared
  }
  return {
    next() {
      const reading = read()
      reads.add(reading)
      // One that fails stays, for whoever asks how all of them ended.
      reading.then(
        () => reads.delete(reading),
        () => undefined,
      )
      return reading
    },
    later: parts.later,
    release: ({ bytes }) => parts.release(bytes),
    async settled() {
      await Promise.all(reads)
    },
  }
}

/** SHA-256 runs beside the main thread: browsers and Node hash what crypto.subtle is given on threads of their own. */
export const preparePart = async ({ partNumber, bytes }: SourcePart): Promise<PreparedPart> => {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
  const checksumSha256 = btoa(String.fromCharCode(...digest))
  return { partNumber, sizeBytes: bytes.length, checksumSha256, bytes }
}
