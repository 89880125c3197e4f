import { BadInputError } from '../platform/errors.ts'

/**
 * How a file is cut into parts. Pure.
 *
 * S3 limits (https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html): at most 10,000 parts, every part but
 * the last from 5 MiB to 5 GiB, an object of at most 5 TiB. All parts but the last have ONE length: some providers
 * demand it, and it makes part n's place in the file a multiplication, so that a client that resumes needs no list.
 *
 * The length is a whole number of MiB. Small parts are good (little is sent again after a fault, the client holds
 * parts-in-flight × part size in memory) until 10,000 of them are not enough; from there the length grows with the
 * file: with parts of 8 MiB at 80 GB, up to 525 MiB for 5 TiB. Settings ask for 1 GiB at most (platform/config.ts): a client
 * hashes a part as a whole.
 */
export const MiB = 1024 * 1024
export const MAX_PARTS = 10_000
export const MIN_PART_BYTES = 5 * MiB
export const MAX_PART_BYTES = 5 * 1024 * MiB
export const MAX_OBJECT_BYTES = 5 * 1024 ** 4

export interface PartPlan {
  /** Length of every part but the last, bytes. */
  readonly partSizeBytes: number
  /** 1 … 10,000. */
  readonly partCount: number
}

/** Where a part is in the file. */
export interface PartRange {
  readonly offsetBytes: number
  readonly sizeBytes: number
}

/**
 * The smallest part length, not below `minPartSizeBytes`, with which the file fits into 10,000 parts.
 * @param sizeBytes length of the file, 1 … 5 TiB
 * @param minPartSizeBytes 5 MiB … 5 GiB; rounded up to whole MiB
 * @throws BadInputError SIZE_OUT_OF_RANGE for a length outside the limits (0 has no parts: S3 refuses an empty list)
 */
export const partSizeFor = (sizeBytes: number, minPartSizeBytes: number = MIN_PART_BYTES): number => {
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 1 || sizeBytes > MAX_OBJECT_BYTES) {
    throw outOfRange(`an object has 1 … ${MAX_OBJECT_BYTES} bytes, not ${sizeBytes}`, sizeBytes)
  }
  if (!(minPartSizeBytes >= MIN_PART_BYTES && minPartSizeBytes <= MAX_PART_BYTES)) {
    throw outOfRange(`a part has ${MIN_PART_BYTES} … ${MAX_PART_BYTES} bytes, not ${minPartSizeBytes}`, sizeBytes)
  }
  return Math.ceil(Math.max(minPartSizeBytes, sizeBytes / MAX_PARTS) / MiB) * MiB
}

/** `partSizeFor` and the number of parts that follows from it. Throws what it throws. */
export const partPlanFor = (sizeBytes: number, minPartSizeBytes?: number): PartPlan => {
  const partSizeBytes = partSizeFor(sizeBytes, minPartSizeBytes)
  return { partSizeBytes, partCount: Math.ceil(sizeBytes / partSizeBytes) }
}

/**
 * Place and length of part `partNumber` (from 1) of a file; undefined where the plan has no such part. The ranges of
 * all parts follow each other without gap or overlap and end with the file.
 */
export const partRange = (sizeBytes: number, partSizeBytes: number, partNumber: number): PartRange | undefined => {
  const offsetBytes = (partNumber - 1) * partSizeBytes
  if (!Number.isInteger(partNumber) || partNumber < 1 || offsetBytes >= sizeBytes) return undefined
  return { offsetBytes, sizeBytes: Math.min(partSizeBytes, sizeBytes - offsetBytes) }
}

const outOfRange = (message: string, sizeBytes: number): BadInputError =>
  new BadInputError('SIZE_OUT_OF_RANGE', `This cannot be cut into parts: ${message}.`, { facts: { sizeBytes } })
