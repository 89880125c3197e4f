import { VIDEO_ID } from '../../platform/ids.ts'
import type {
  PartUploaded,
  UploadCompleted,
  UploadSealed,
  UploadStarted,
  VideoDetails,
  VideoDetailsChanged,
} from '../../schemas/generated.ts'
import { MAX_OBJECT_BYTES, MAX_PART_BYTES, MAX_PARTS, MIN_PART_BYTES } from '../../storage/part-size.ts'

/**
 * What the values of a claim may be. Avro says that a title is a string; these functions say which strings. Each gives
 * one sentence about the first thing that is wrong, or null. Producers outside the gateway write to the door directly,
 * so nothing is taken on trust. The limits are those that the schemas state.
 */
export type Problem = string | null

export const videoIdProblem = (videoId: string): Problem =>
  VIDEO_ID.test(videoId) ? null : 'A videoId is 1 … 64 of A-Z a-z 0-9 _ - and begins with a letter or digit.'

/**
 * Text must be what every reader can hold: PostgreSQL knows no U+0000, and a lone surrogate is not Unicode. One such
 * title in an infinite log would stop every projection for ever, so it is refused wherever it hides in the claim.
 */
export const unicodeProblem = (value: unknown): Problem => {
  if (typeof value === 'string') {
    return value.isWellFormed() && !value.includes('\0') ? null : 'Text is well-formed Unicode without U+0000.'
  }
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return null
  for (const [name, inner] of Object.entries(value)) {
    // Metadata is JSON, in which such a character may hide behind an escape.
    const problem =
      unicodeProblem(name) ?? unicodeProblem(name === 'metadata' && typeof inner === 'string' ? parsed(inner) : inner)
    if (problem !== null) return problem
  }
  return null
}

export const uploadProblem = (claim: UploadStarted): Problem =>
  identityProblem(claim.authorId) ??
  detailsOf(claim) ??
  (isBetween(claim.s3UploadId.length, 1, 2_048) ? null : 'The s3UploadId has 1 … 2,048 characters.') ??
  (claim.contentType.length <= 255 ? null : 'The contentType has at most 255 characters.') ??
  (isBetween(claim.partSizeBytes, MIN_PART_BYTES, MAX_PART_BYTES) ? null : 'partSizeBytes is 5 MiB … 5 GiB.') ??
  (claim.expiresAtMs > 0 ? null : 'expiresAtMs is a point in time.') ??
  lengthProblem(claim)

const lengthProblem = ({ sizeBytes, partCount, partSizeBytes }: UploadStarted): Problem => {
  if (sizeBytes === null && partCount === null) return null
  if (sizeBytes === null || partCount === null) return 'sizeBytes and partCount are known both or neither.'
  return partsProblem(sizeBytes, partCount, partSizeBytes)
}

export const sealProblem = ({ sizeBytes, partCount }: UploadSealed, partSizeBytes: number): Problem =>
  partsProblem(sizeBytes, partCount, partSizeBytes)

/** All parts but the last have one length, so the number of parts follows from the length of the file. */
const partsProblem = (sizeBytes: number, partCount: number, partSizeBytes: number): Problem => {
  if (!isBetween(sizeBytes, 1, MAX_OBJECT_BYTES)) return 'sizeBytes is 1 byte … 5 TiB.'
  if (!isBetween(partCount, 1, MAX_PARTS)) return 'partCount is 1 … 10,000.'
  const needed = Math.ceil(sizeBytes / partSizeBytes)
  return partCount === needed
    ? null
    : `${sizeBytes} bytes are ${needed} parts of ${partSizeBytes} bytes, not ${partCount}.`
}

export const partProblem = (part: PartUploaded, partCount: number | null): Problem => {
  const last = partCount ?? MAX_PARTS
  if (!isBetween(part.partNumber, 1, last)) return `partNumber is 1 … ${last}, not ${part.partNumber}.`
  if (!isBetween(part.sizeBytes, 1, MAX_PART_BYTES)) return 'A part has 1 byte … 5 GiB.'
  if (!isBetween(part.etag.length, 1, 255)) return 'The etag has 1 … 255 characters.'
  return null
}

export const importProblem = (claim: UploadCompleted): Problem =>
  (claim.authorId === null ? 'An import names its authorId.' : identityProblem(claim.authorId)) ??
  detailsOf(claim) ??
  (/^[^"\s]{1,255}$/.test(claim.etag) ? null : 'The etag has 1 … 255 characters, without quotes.') ??
  (isBetween(claim.sizeBytes, 0, MAX_OBJECT_BYTES) ? null : 'sizeBytes is at most 5 TiB.')

export const changeProblem = (change: VideoDetailsChanged): Problem => {
  const { title, description, author, tags, visibility, metadata, sealedDetails } = change
  const changed = [title, description, author, tags, visibility, metadata, sealedDetails].some(
    (value) => value !== null,
  )
  if (!changed) return 'A change changes at least one field.'
  return textProblem(change)
}

export const reasonProblem = (reason: string): Problem =>
  characters(reason) <= 200 ? null : 'The reason has at most 200 characters.'

const detailsOf = ({ details, sealedDetails }: Pick<UploadStarted, 'details' | 'sealedDetails'>): Problem => {
  if (details === null) return sealedDetails === null ? 'A video has details.' : null
  return fileNameProblem(details) ?? textProblem(details)
}

const fileNameProblem = ({ fileName }: VideoDetails): Problem =>
  fileName === null || characters(fileName) <= 1_000 ? null : 'The fileName has at most 1,000 characters.'

const textProblem = ({ title, description, author, tags, metadata }: Nullable<VideoDetails>): Problem => {
  if (title !== null && (title.trim() === '' || characters(title) > 200)) return 'The title has 1 … 200 characters.'
  if (description !== null && characters(description) > 5_000) return 'The description has at most 5,000 characters.'
  if (author !== null && characters(author) > 200) return 'The name of the author has at most 200 characters.'
  if (tags !== null && (tags.length > 50 || !tags.every(isTag)))
    return 'At most 50 tags of 1 … 50 lower-case characters.'
  return metadata === null ? null : metadataProblem(metadata)
}
type Nullable<T> = { readonly [K in Exclude<keyof T, 'fileName' | 'visibility'>]: T[K] | null }

const isTag = (tag: string): boolean => tag.trim() !== '' && characters(tag) <= 50 && tag === tag.toLowerCase()

const METADATA_BYTES = 64 * 1024
const METADATA_DEPTH = 16

const metadataProblem = (metadata: string): Problem => {
  if (Buffer.byteLength(metadata) > METADATA_BYTES) return 'The metadata has at most 64 KiB.'
  const value = parsed(metadata)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'The metadata is a JSON object.'
  return isDeeper(value, METADATA_DEPTH) ? 'The metadata is nested at most 16 levels deep.' : null
}

const parsed = (json: string): unknown => {
  try {
    return JSON.parse(json)
  } catch {
    return undefined // No JSON is refused like JSON of another shape.
  }
}

const isDeeper = (value: unknown, levels: number): boolean =>
  typeof value === 'object' &&
  value !== null &&
  (levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1)))

const identityProblem = (authorId: string): Problem =>
  isBetween(authorId.trim().length, 1, 200) && authorId.length <= 200 ? null : 'The authorId has 1 … 200 characters.'

const characters = (text: string): number => [...text].length

const isBetween = (value: number, least: number, most: number): boolean =>
  Number.isSafeInteger(value) && value >= least && value <= most
