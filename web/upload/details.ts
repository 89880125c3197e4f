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
