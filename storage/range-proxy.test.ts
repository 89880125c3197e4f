import fc from 'fast-check'
import t from 'tap'
import { parseRange, slicesOf } from './range-proxy.ts'

t.test('the slices of any range are exactly the bytes of that range', async (t) => {
  const sizes = fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 6 })
  fc.assert(
    fc.property(sizes, fc.nat(120), fc.nat(120), (sizes, a, b) => {
      const objects = sizes.map((sizeBytes, i) => ({ bucket: 'b', key: String(i), sizeBytes }))
      const whole = sizes.flatMap((size, i) => Array.from({ length: size }, (_, at) => `${i}:${at}`))
      if (whole.length === 0) return true
      const first = Math.min(a, b) % whole.length
      const last = Math.max(first, Math.max(a, b) % whole.length)
      const read = slicesOf(objects, first, last).flatMap((slice) =>
        Array.from({ length: slice.last - slice.first + 1 }, (_, i) => `${slice.object.key}:${slice.first + i}`),
      )
      return JSON.stringify(read) === JSON.stringify(whole.slice(first, last + 1))
    }),
  )
  t.pass('held')
})

t.test('ranges are read as RFC 9110 says', async (t) => {
  t.same(parseRange('bytes=0-', 100), { first: 0, last: 99 })
  t.same(parseRange('bytes=10-19', 100), { first: 10, last: 19 })
  t.same(parseRange('bytes=90-200', 100), { first: 90, last: 99 })
  t.same(parseRange('bytes=-10', 100), { first: 90, last: 99 })
  t.same(parseRange('bytes=-200', 100), { first: 0, last: 99 })
  for (const bad of ['bytes=100-', 'bytes=-', 'bytes=5-4', 'bytes=0-1,4-5', 'items=0-1', 'bytes=-0']) {
    t.equal(parseRange(bad, 100), undefined, bad)
  }
})
