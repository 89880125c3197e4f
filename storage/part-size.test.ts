import fc from 'fast-check'
import t from 'tap'
import {
  MAX_OBJECT_BYTES,
  MAX_PART_BYTES,
  MAX_PARTS,
  MIN_PART_BYTES,
  MiB,
  partPlanFor,
  partRange,
  partSizeFor,
} from './part-size.ts'

const minPartSizes = [MIN_PART_BYTES, MIN_PART_BYTES + 1, 8 * MiB, 64 * MiB, 525 * MiB, MAX_PART_BYTES]

/** Every length at which the plan may change, and its neighbours. */
const boundaries = minPartSizes.flatMap((min) =>
  [1, min, 2 * min, MAX_PARTS * min, MAX_PARTS * (min + MiB), MAX_PARTS * Math.ceil(min / MiB) * MiB, MAX_OBJECT_BYTES]
    .flatMap((size) => [size - 1, size, size + 1])
    .filter((size) => size >= 1 && size <= MAX_OBJECT_BYTES)
    .map((size) => ({ size, min })),
)

const keepsTheLimitsOfS3 = (size: number, min: number): boolean => {
  const { partSizeBytes, partCount } = partPlanFor(size, min)
  const last = partRange(size, partSizeBytes, partCount)
  return (
    partSizeBytes % MiB === 0 &&
    partSizeBytes >= min &&
    partSizeBytes <= MAX_PART_BYTES &&
    partCount >= 1 &&
    partCount <= MAX_PARTS &&
    last !== undefined &&
    last.sizeBytes >= 1 &&
    last.sizeBytes <= partSizeBytes &&
    last.offsetBytes + last.sizeBytes === size &&
    partRange(size, partSizeBytes, partCount + 1) === undefined
  )
}

t.test('every boundary of the plan keeps the limits of S3', async (t) => {
  for (const { size, min } of boundaries) t.ok(keepsTheLimitsOfS3(size, min), `size ${size}, smallest part ${min}`)
})

t.test('any file from 1 byte to 5 TiB keeps the limits of S3', async (t) => {
  const sizes = fc.oneof(
    fc.integer({ min: 1, max: MAX_OBJECT_BYTES }),
    fc.integer({ min: 1, max: 100 * MiB }),
    fc.tuple(fc.integer({ min: 1, max: 10_486 }), fc.integer({ min: -1, max: 1 })).map(([n, d]) => n * 500 * MiB + d),
  )
  fc.assert(
    fc.property(sizes, fc.constantFrom(...minPartSizes), (size, min) =>
      keepsTheLimitsOfS3(Math.min(size, MAX_OBJECT_BYTES), min),
    ),
    { numRuns: 2_000 },
  )
  t.pass('held')
})

t.test('the parts of a file follow each other without gap or overlap', async (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 400 * MiB }), (size) => {
      const { partSizeBytes, partCount } = partPlanFor(size, MIN_PART_BYTES)
      let end = 0
      for (let n = 1; n <= partCount; n++) {
        const range = partRange(size, partSizeBytes, n)
        if (range?.offsetBytes !== end) return false
        end += range.sizeBytes
      }
      return end === size
    }),
  )
  t.pass('held')
})

t.test('parts stay as small as allowed until 10,000 of them are not enough', async (t) => {
  t.equal(partSizeFor(1, 8 * MiB), 8 * MiB)
  t.equal(partSizeFor(MAX_PARTS * 8 * MiB, 8 * MiB), 8 * MiB)
  t.equal(partSizeFor(MAX_PARTS * 8 * MiB + 1, 8 * MiB), 9 * MiB)
  t.equal(partSizeFor(MAX_OBJECT_BYTES, 8 * MiB), 525 * MiB)
})

t.test('refuses what S3 cannot hold', async (t) => {
  for (const size of [0, -1, 1.5, Number.NaN, MAX_OBJECT_BYTES + 1]) {
    t.throws(() => partSizeFor(size, 8 * MiB), { code: 'SIZE_OUT_OF_RANGE' }, `size ${size}`)
  }
  for (const min of [MIN_PART_BYTES - 1, MAX_PART_BYTES + 1, Number.NaN]) {
    t.throws(() => partSizeFor(1, min), { code: 'SIZE_OUT_OF_RANGE' }, `smallest part ${min}`)
  }
})
