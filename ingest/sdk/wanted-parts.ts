import type { RecordedUpload } from './recorded-upload.ts'
import { isSamePart, type PartFacts } from './send-part.ts'

/**
 * Which parts the server wants again, because it did not find in S3 what was reported.
 *
 * A part that is not on the list is wanted, or the list is behind. The count of rejections tells the two apart: the server
 * compares only what it has whole, so a list that has the n-th rejection has every report from before it. What is missing
 * there is wanted, once per rejection; after it was sent for that one, its report is only on its way.
 */
export class WantedParts {
  #rejections: number
  #sent: Set<number>

  /** @param sent what was sent since the upload had that many rejections */
  constructor(rejections: number, sent: readonly PartFacts[]) {
    this.#rejections = rejections
    this.#sent = new Set(sent.map(({ partNumber }) => partNumber))
  }

  /** How many were answered by now. */
  get rejections(): number {
    return this.#rejections
  }

  /** Those that are to be sent now; from here on they count as sent. */
  take({ rejections, parts }: RecordedUpload, facts: ReadonlyMap<number, PartFacts>): readonly PartFacts[] {
    if (rejections === 0) return []
    if (rejections > this.#rejections) this.#sent = new Set()
    this.#rejections = rejections
    const wanted = missingFrom(parts, facts).filter(({ partNumber }) => !this.#sent.has(partNumber))
    for (const { partNumber } of wanted) this.#sent.add(partNumber)
    return wanted
  }
}

/** What the source has and the list has not, or with other bytes. */
export const missingFrom = (
  listed: ReadonlyMap<number, PartFacts>,
  facts: ReadonlyMap<number, PartFacts>,
): readonly PartFacts[] => [...facts.values()].filter((part) => !isSamePart(part, listed.get(part.partNumber)))
