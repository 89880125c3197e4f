import fc from 'fast-check'
import t from 'tap'
import { decodeCursor, encodeCursor } from './cursor.ts'

t.test('a cursor comes back as it went out', async () => {
  const cursors = fc.record({
    createdAt: fc
      .date({ min: new Date(0), max: new Date('2099-01-01'), noInvalidDate: true })
      .map((at) => at.toISOString()),
    id: fc.string({ unit: 'grapheme' }),
  })
  fc.assert(
    fc.property(cursors, (cursor) => {
      const { createdAt, id } = decodeCursor(encodeCursor(cursor))
      return createdAt === cursor.createdAt && id === cursor.id.toWellFormed()
    }),
  )
})

t.test('anything else is refused', async (t) => {
  for (const text of [
    '',
    'x',
    Buffer.from('["tomorrow","a"]').toString('base64url'),
    Buffer.from('{}').toString('base64url'),
  ]) {
    t.throws(() => decodeCursor(text), { code: 'CURSOR_INVALID' })
  }
})
