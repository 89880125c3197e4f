import fc from 'fast-check'
import t from 'tap'
import type { AnyRow, Table } from './projection.ts'
import { fromJson, storableJson, toJson } from './row-json.ts'

const table: Table<AnyRow> = {
  key: ['videoId'],
  columns: { videoId: 'text', createdAt: 'timestamptz', tags: 'text[]' },
}

t.test('rows go out with the names of columns and come back with those of the fold', async (t) => {
  const row = { videoId: 'a', createdAt: '2026-01-01T00:00:00.120Z', tags: ['x'] }
  const [record] = JSON.parse(toJson(table, [row])) as [AnyRow]
  t.same(Object.keys(record), ['video_id', 'created_at', 'tags'])
  t.same(fromJson(table, { ...record, created_at: '2026-01-01T01:00:00.12+01:00' }), row)
})

t.test('an absent column is null', async (t) => {
  t.match(JSON.parse(toJson(table, [{ videoId: 'a' }])), [{ tags: null }])
})

t.test('no text is left that PostgreSQL refuses', async () => {
  const nasty = fc.string({ unit: fc.constantFrom('a', '\\', 'u0000', '\u0000', '\ud800', '\udc00', '😀', 'ud834') })
  fc.assert(
    fc.property(fc.dictionary(nasty, fc.array(nasty)), (value) => {
      const stored = JSON.parse(storableJson(value)) as Record<string, string[]>
      const texts = [...Object.keys(stored), ...Object.values(stored).flat()]
      return texts.every((text) => text.isWellFormed() && !text.includes('\u0000'))
    }),
  )
})

t.test('well-formed text is not touched', async (t) => {
  const value = { title: 'naïve 😀 \\u0000 "quoted"', tags: ['日本'] }
  t.same(JSON.parse(storableJson(value)), value)
})
