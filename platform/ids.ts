import { v7 as uuidv7 } from 'uuid'
import { nameUuids } from './name-uuid.ts'

/**
 * Ids. Everything that must be the same when the same work is done again is a name-based UUID (RFC 9562, version 5)
 * over its cause; everything that is born once is a time-ordered UUID (version 7).
 */
declare const brand: unique symbol
type Branded<Name extends string> = string & { readonly [brand]: Name }

export type VideoId = Branded<'VideoId'>
export type AuthorId = Branded<'AuthorId'>

/** A video id becomes a folder of object keys and a part of URLs. */
export const VIDEO_ID = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/

/** Root of all our name-based ids. Changing it would change every id that is derived: never. */
const inOurNamespace = nameUuids('5a1e3c0e-6a5c-5d0b-9f5e-7a0c7a8c9a11')

/** The same parts always give the same id. Parts are joined with an unambiguous separator. */
export const deriveId = (first: string, ...rest: readonly (string | number)[]): string => {
  let name = first
  for (const part of rest) name += `\u001f${part}`
  return inOurNamespace(name)
}

/** A fresh, time-ordered id. */
export const newId = (): string => uuidv7()

/** One author's idempotency key names one video for ever (schemas: UploadStarted, first wins). */
export const videoIdFor = (authorId: string, idempotencyKey: string): VideoId =>
  deriveId('video', authorId, idempotencyKey) as VideoId
