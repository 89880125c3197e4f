import { partRange } from '../../storage/part-size.ts'
import type { Part, WrongPart } from './generated.ts'

/** A part as S3 lists it. */
export interface ListedPart {
  readonly partNumber: number
  readonly sizeBytes: number
  readonly etag: string
  /** Base64; null where the server lists no checksums. */
  readonly checksumSha256: string | null
}

/** The plan of the upload. */
export interface PartsPlan {
  /** Null when it is not known: then lengths are only compared with what S3 has. */
  readonly partSizeBytes: number | null
  readonly sizeBytes: number
}

/** Codes of the parts that are wanted again, and of an upload that ends because they stay wrong. */
export const WRONG_PARTS = {
  PART_MISSING: 'S3 does not have the part.',
  PART_SIZE_WRONG: 'The part has another length than the plan of its upload gives it, or than was reported.',
  PART_REPLACED: 'S3 has other bytes of the part than were reported.',
} as const satisfies Record<string, string>

export interface Comparison {
  /** Ascending. */
  readonly wrong: readonly WrongPart[]
  /** ETags as S3 lists them, by part number: what Complete has to name. */
  readonly etags: ReadonlyMap<number, string>
}

/**
 * What was reported against what S3 lists: each part that cannot become a part of the object, with a code. Pure.
 *
 * Bytes are compared by checksum where the server lists one, else by ETag: for a part that is the digest of its bytes,
 * or at least changes with them. Where checksums are equal the ETag may be whatever the server likes it to be.
 */
export const compareParts = (plan: PartsPlan, reported: readonly Part[], stored: readonly ListedPart[]): Comparison => {
  const byNumber = new Map(stored.map((part) => [part.partNumber, part]))
  const wrong = reported.flatMap((part) => {
    const code = troubleOf(plan, part, byNumber.get(part.partNumber))
    if (code === null) return []
    const { partNumber, etag, checksum } = part
    return [{ partNumber, etag, checksum, code, detail: `Part ${partNumber}: ${WRONG_PARTS[code]}` }]
  })
  return { wrong, etags: new Map(stored.map(({ partNumber, etag }) => [partNumber, etag])) }
}

const troubleOf = (
  { partSizeBytes, sizeBytes }: PartsPlan,
  part: Part,
  stored: ListedPart | undefined,
): keyof typeof WRONG_PARTS | null => {
  if (stored === undefined) return 'PART_MISSING'
  const planned =
    partSizeBytes === null ? part.sizeBytes : partRange(sizeBytes, partSizeBytes, part.partNumber)?.sizeBytes
  if (stored.sizeBytes !== planned || part.sizeBytes !== planned) return 'PART_SIZE_WRONG'
  const isSame = stored.checksumSha256 === null ? stored.etag === part.etag : stored.checksumSha256 === part.checksum
  return isSame ? null : 'PART_REPLACED'
}
