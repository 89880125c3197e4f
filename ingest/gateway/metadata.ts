import { BadInputError } from '../../platform/errors.ts'

/**
 * Custom metadata: any JSON object, within limits that keep it storable, indexable and safe to walk recursively
 * everywhere behind this door.
 */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

/** Levels of nesting; the object itself is the first. */
export const MAX_DEPTH = 16
/** Of the serialised object, UTF-8. */
export const MAX_METADATA_BYTES = 64 * 1024
/** Values that are neither object nor array; each becomes an entry of an index. Empty ones count as a leaf. */
export const MAX_LEAVES = 500

/**
 * The object as compact JSON. Pure.
 * @throws BadInputError METADATA_INVALID, naming the limit and the place
 */
export const metadataText = (metadata: unknown): string => {
  if (!isObject(metadata)) throw invalid('metadata', 'must be an object')
  const leaves = countLeaves(metadata, 1, 'metadata')
  if (leaves > MAX_LEAVES) throw invalid('metadata', `has ${leaves} values; at most ${MAX_LEAVES} are allowed`)
  const text = JSON.stringify(metadata)
  const sizeBytes = Buffer.byteLength(text)
  if (sizeBytes > MAX_METADATA_BYTES) {
    throw invalid('metadata', `has ${sizeBytes} bytes; at most ${MAX_METADATA_BYTES} are allowed`)
  }
  return text
}

/** Text that every store behind this door can hold: PostgreSQL has no U+0000, UTF-8 no half of a surrogate pair. */
export const isStorableText = (text: string): boolean => text.isWellFormed() && !text.includes('\u0000')

/** Depth is checked on the way down, so that the recursion is never deeper than the limit. */
const countLeaves = (value: unknown, depth: number, place: string): number => {
  if (typeof value === 'string' && !isStorableText(value)) throw invalid(place, 'contains characters that are not text')
  // JSON.parse makes Infinity of 1e999, and JSON.stringify null of Infinity.
  if (typeof value === 'number' && !Number.isFinite(value)) throw invalid(place, 'is too large a number')
  if (typeof value !== 'object' || value === null) return 1
  if (depth > MAX_DEPTH) throw invalid(place, `is nested deeper than ${MAX_DEPTH} levels`)
  const entries = Object.entries(value)
  let leaves = entries.length === 0 ? 1 : 0
  for (const [key, child] of entries) {
    if (!isStorableText(key)) throw invalid(place, 'has a key that is not text')
    leaves += countLeaves(child, depth + 1, `${place}.${key.slice(0, 40)}`)
  }
  return leaves
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const invalid = (place: string, why: string): BadInputError =>
  new BadInputError('METADATA_INVALID', `${place.slice(0, 300)} ${why}.`)
