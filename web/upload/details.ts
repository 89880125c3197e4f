import type { UploadDetails } from '../../ingest/sdk/index.ts'

/** What the form says, as the gateway wants it. Pure, apart from reading the form data. */
export const detailsFrom = (form: FormData): UploadDetails => {
  const text = (name: string): string => String(form.get(name) ?? '').trim()
  const author = text('author')
  return {
    title: text('title'),
    description: text('description'),
    tags: tagsFrom(text('tags')),
    visibility: visibilityFrom(text('visibility')),
    ...(author !== '' && { author }),
  }
}

/** `skiing, Sweden,, skiing` → skiing, Sweden: separated by commas, each once whatever its case. */
export const tagsFrom = (text: string): readonly string[] => {
  const tags = text
    .split(',')
    .map((tag) => tag.trim())
    .filter((tag) => tag !== '')
  return tags.filter((tag, index) => tags.findIndex((other) => other.toLowerCase() === tag.toLowerCase()) === index)
}

/** The gateway's limits (ingest/gateway/details.ts). */
const MAX_TAGS = 50
const MAX_TAG_LENGTH = 50

/** What is wrong with the tags in a form; empty when nothing is. */
export const tagsProblem = (text: string): string => {
  const tags = tagsFrom(text)
  // As the gateway counts: characters, not what a string is made of.
  const tooLong = tags.map((tag) => [...tag]).find((characters) => characters.length > MAX_TAG_LENGTH)
  if (tooLong !== undefined) {
    return `A tag has ${MAX_TAG_LENGTH} characters at most: ${tooLong.slice(0, 20).join('')}…`
  }
  return tags.length > MAX_TAGS ? `A video has ${MAX_TAGS} tags at most; these are ${tags.length}.` : ''
}

/** A title to begin with: `sarek_final (2).mp4` → `sarek final (2)`. */
export const titleFrom = (fileName: string): string =>
  fileName
    .replace(/\.[^.]{1,5}$/, '')
    .replaceAll(/[_\s]+/g, ' ')
    .trim()
    .slice(0, 200)

const visibilityFrom = (text: string): 'PUBLIC' | 'UNLISTED' | 'PRIVATE' => {
  if (text === 'UNLISTED' || text === 'PRIVATE') return text
  return 'PUBLIC'
}
