import fc from 'fast-check'
import t from 'tap'
import { spanOf } from './byte-range.ts'

t.test('the one range that is asked for', async (t) => {
  t.same(spanOf('bytes=0-99', 1000), { first: 0, last: 99 })
  t.same(spanOf('bytes=900-', 1000), { first: 900, last: 999 })
  t.same(spanOf('bytes=-100', 1000), { first: 900, last: 999 })
  t.same(spanOf('bytes=0-5000', 1000), { first: 0, last: 999 })
})

t.test('what is no single byte range is answered in full', async (t) => {
  for (const header of [undefined, '', 'bytes=', 'bytes=-', 'bytes=5-2', 'bytes=0-1,4-5', 'items=0-1', 'bytes=a-b']) {
    t.equal(spanOf(header, 1000), null, header ?? '(none)')
  }
})

t.test('behind the end there is nothing', async (t) => {
  for (const header of ['bytes=1000-', 'bytes=1000-1001', 'bytes=-0']) {
    t.throws(() => spanOf(header, 1000), { code: 'RANGE_NOT_SATISFIABLE' })
  }
})

t.test('a span lies inside the bytes', async () => {
  fc.assert(
    fc.property(fc.nat(2000), fc.nat(2000), fc.integer({ min: 1, max: 1000 }), (from, to, size) => {
      if (from >= size) return true
      const span = spanOf(`bytes=${from}-${to}`, size)
      return span === null ? to < from : span.first === from && span.last >= span.first && span.last < size
    }),
  )
})
