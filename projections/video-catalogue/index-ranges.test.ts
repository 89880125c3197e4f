import fc from 'fast-check'
import t from 'tap'
import { addIndexes, type IndexRange } from './index-ranges.ts'

const additions = fc.array(fc.tuple(fc.nat(40), fc.integer({ min: 1, max: 6 })), { maxLength: 30 })

t.test('ranges hold exactly the indexes that were added, each counted once', async () => {
  fc.assert(
    fc.property(additions, (steps) => {
      const expected = new Set<number>()
      let ranges: readonly IndexRange[] = []
      let counted = 0
      for (const [first, length] of steps) {
        const result = addIndexes(ranges, first, first + length)
        ranges = result.ranges
        counted += result.added.length
        for (let index = first; index < first + length; index++) expected.add(index)
      }
      const held = ranges.flatMap(([first, end]) => Array.from({ length: end - first }, (_, at) => first + at))
      return counted === expected.size && held.length === expected.size && held.every((index) => expected.has(index))
    }),
  )
})

t.test('neighbours become one range, so a set without holes is two numbers', async (t) => {
  const { ranges } = addIndexes(
    [
      [0, 3],
      [5, 8],
    ],
    3,
    5,
  )
  t.same(ranges, [[0, 8]])
})
