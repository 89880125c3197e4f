import { isDeepStrictEqual } from 'node:util'
import { type Static, Type } from 'typebox'
import { BadInputError } from '../../platform/errors.ts'
import type { VideoDetails, VideoDetailsChanged, Visibility } from '../../schemas/generated.ts'
import { isStorableText, metadataText } from './metadata.ts'

/** What people write about a video: its limits, and the one form in which it enters the log. Pure. */
export const MAX_TAGS = 50

const Title = Type.String({ minLength: 1, maxLength: 200, pattern: '\\S', description: '1 … 200 characters.' })
const Description = Type.String({ maxLength: 5000, description: 'Up to 5,000 characters.' })
const DisplayName = Type.String({ minLength: 1, maxLength: 200, pattern: '\\S', description: 'Display name.' })
const Tags = Type.Array(Type.String({ minLength: 1, maxLength: 50, pattern: '\\S' }), {
  maxItems: MAX_TAGS,
  description: 'Up to 50 tags of 1 … 50 characters; kept in lower case, each once, in the order given.',
})
const VisibilityName = Type.Unsafe<Visibility | Lowercase<Visibility>>({
  type: 'string',
  enum: ['PUBLIC', 'UNLISTED', 'PRIVATE', 'public', 'unlisted', 'private'],
  description: 'PUBLIC is listed, UNLISTED is watchable by link, PRIVATE only by its author.',
})
const Metadata = Type.Record(Type.String(), Type.Unknown(), {
  description: 'Any JSON object: up to 16 levels, 500 values, 64 KiB.',
})

export const NewDetails = Type.Object({
  title: Title,
  description: Type.Optional(Description),
  author: Type.Optional(DisplayName),
  tags: Type.Optional(Tags),
  visibility: Type.Optional(VisibilityName),
  metadata: Type.Optional(Metadata),
})
export type NewDetails = Static<typeof NewDetails>

export const ChangedDetails = Type.Partial(NewDetails, { additionalProperties: false, minProperties: 1 })
export type ChangedDetails = Static<typeof ChangedDetails>

/** The details of a new video, complete. `authorName` is the display name for who gives none. */
export const detailsFrom = (given: NewDetails, fileName: string, authorName: string): VideoDetails => ({
  title: text('title', given.title),
  description: text('description', given.description ?? ''),
  author: text('author', given.author ?? authorName),
  tags: tagsFrom(given.tags ?? []),
  visibility: visibilityFrom(given.visibility ?? 'PUBLIC'),
  fileName: text('fileName', fileName),
  metadata: given.metadata === undefined ? null : metadataText(given.metadata),
})

type Change = Pick<VideoDetailsChanged, 'title' | 'description' | 'author' | 'tags' | 'visibility' | 'metadata'>

/** Only what was given; null stays "unchanged". */
export const changeFrom = (given: ChangedDetails): Change => ({
  title: given.title === undefined ? null : text('title', given.title),
  description: given.description === undefined ? null : text('description', given.description),
  author: given.author === undefined ? null : text('author', given.author),
  tags: given.tags === undefined ? null : tagsFrom(given.tags),
  visibility: given.visibility === undefined ? null : visibilityFrom(given.visibility),
  metadata: given.metadata === undefined ? null : metadataText(given.metadata),
})

/** Whether two details say the same; metadata is compared as JSON, since a database may keep its keys in another order. */
export const sameDetails = (a: Omit<VideoDetails, 'fileName'>, b: Omit<VideoDetails, 'fileName'>): boolean =>
  isDeepStrictEqual(comparable(a), comparable(b))

const comparable = ({ title, description, author, tags, visibility, metadata }: Omit<VideoDetails, 'fileName'>) => ({
  title,
  description,
  author,
  tags: [...tags],
  visibility,
  metadata: metadata === null ? null : (JSON.parse(metadata) as unknown),
})

const tagsFrom = (tags: readonly string[]): readonly string[] => [
  ...new Set(tags.map((tag) => text('tags', tag).toLowerCase())),
]

const visibilityFrom = (visibility: string): Visibility => visibility.toUpperCase() as Visibility

const text = (field: string, value: string): string => {
  if (isStorableText(value)) return value.trim()
  throw new BadInputError('VALIDATION_FAILED', `${field} contains characters that are not text.`)
}
