import fc from 'fast-check'
import t from 'tap'
import { detailsFrom, tagsFrom, tagsProblem, titleFrom } from './details.ts'

const formOf = (fields: Record<string, string>): FormData => {
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) form.set(name, value)
  return form
}

t.test('a form becomes details', async (t) => {
  const form = formOf({
    title: ' Harbour ',
    description: 'At dawn.',
    author: 'Mo',
    tags: 'sea, dawn',
    visibility: 'PRIVATE',
  })
  t.same(detailsFrom(form), {
    title: 'Harbour',
    description: 'At dawn.',
    author: 'Mo',
    tags: ['sea', 'dawn'],
    visibility: 'PRIVATE',
  })
})

t.test('an author that is not given is left to the token', async (t) => {
  t.notOk('author' in detailsFrom(formOf({ title: 'Harbour', author: '  ' })))
})

t.test('a tag is there once, whatever its case', async (t) => {
  t.same(tagsFrom('skiing, Sweden,, SKIING ,'), ['skiing', 'Sweden'])
  t.same(tagsFrom(''), [])
})

t.test('a file name makes a title', async (t) => {
  t.equal(titleFrom('sarek_final (2).mp4'), 'sarek final (2)')
  t.equal(titleFrom('Dr. Strange on skis.mov'), 'Dr. Strange on skis')
})

t.test('tags are never empty, and read back the same', async () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const tags = tagsFrom(text)
      return tags.every((tag) => tag !== '') && tagsFrom(tags.join(',')).length === tags.length
    }),
  )
})

t.test('tags that the gateway would refuse are said to be wrong, and no others', async (t) => {
  t.equal(tagsProblem('sea, dawn'), '')
  t.equal(tagsProblem(`${'x'.repeat(50)}, ${'\u{1f30a}'.repeat(50)}`), '')
  t.equal(tagsProblem(`sea, ${'x'.repeat(51)}`), `A tag has 50 characters at most: ${'x'.repeat(20)}…`)
  const numbered = (count: number) => Array.from({ length: count }, (_, i) => `tag ${i}`).join(',')
  t.equal(tagsProblem(numbered(50)), '')
  t.equal(tagsProblem(numbered(51)), 'A video has 50 tags at most; these are 51.')
})
