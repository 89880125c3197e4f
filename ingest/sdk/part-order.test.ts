import fc from 'fast-check'
import t from 'tap'
import { partOrder } from './part-order.ts'

const recorded = (...parts: readonly number[]) => new Map(parts.map((part) => [part, {}]))

t.test('what is recorded comes first, then what is missing, from somewhere on and around', async (t) => {
  t.same(partOrder(6, recorded(1, 4), 0), [1, 4, 2, 3, 5, 6])
  t.same(partOrder(6, recorded(4, 1), 0.5), [1, 4, 5, 6, 2, 3])
  t.same(partOrder(6, recorded(1, 4), 0.999_999), [1, 4, 6, 2, 3, 5])
  t.same(partOrder(3, recorded(), 0), [1, 2, 3])
  t.same(partOrder(2, recorded(1, 2, 7), 0.7), [1, 2])
  t.same(partOrder(0, recorded(), 0.7), [])
})

t.test('every part has one turn', async () => {
  const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
  fc.assert(
    fc.property(fc.nat(200), fc.array(fc.nat(250)), random, (partCount, parts, at) => {
      const order = [...partOrder(partCount, recorded(...parts), at)].sort((a, b) => a - b)
      return order.length === partCount && order.every((part, i) => part === i + 1)
    }),
  )
})
