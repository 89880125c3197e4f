import fc from 'fast-check'
import t from 'tap'
import { detailsFrom, tagsFrom, titleFrom } from './details.ts'

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
