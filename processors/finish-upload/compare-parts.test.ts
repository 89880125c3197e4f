import t from 'tap'
import { compareParts, type ListedPart } from './compare-parts.ts'
import type { Part } from './generated.ts'

const plan = { partSizeBytes: 8, sizeBytes: 20 }
const sizes = [8, 8, 4]
const reported: readonly Part[] = sizes.map((sizeBytes, i) => ({
  partNumber: i + 1,
  sizeBytes,
  etag: `etag-${i + 1}`,
  checksum: `sum-${i + 1}`,
}))
const stored: readonly ListedPart[] = reported.map(({ checksum, ...part }) => ({ ...part, checksumSha256: checksum }))
const without = (n: number) => stored.filter(({ partNumber }) => partNumber !== n)
const changed = (n: number, change: Partial<ListedPart>) =>
  stored.map((part) => (part.partNumber === n ? { ...part, ...change } : part))
const blind = (list: readonly ListedPart[]) => list.map((part) => ({ ...part, checksumSha256: null }))

const table: readonly (readonly [string, readonly ListedPart[], readonly (readonly [number, string])[]])[] = [
  ['all as reported', stored, []],
  ['a server that lists no checksums', blind(stored), []],
  ['in whatever order it is listed', [...stored].reverse(), []],
  ['one more part than anybody reported', [...stored, { ...stored[0], partNumber: 9 } as ListedPart], []],
  ['one that is missing', without(2), [[2, 'PART_MISSING']]],
  ['all missing', [], [1, 2, 3].map((n) => [n, 'PART_MISSING'] as const)],
  ['one that is shorter', changed(1, { sizeBytes: 7 }), [[1, 'PART_SIZE_WRONG']]],
  ['other bytes, by their checksum', changed(3, { checksumSha256: 'other' }), [[3, 'PART_REPLACED']]],
  ['other bytes, by their ETag', blind(changed(3, { etag: 'other' })), [[3, 'PART_REPLACED']]],
  ['another ETag for the same bytes', changed(3, { etag: 'other' }), []],
]
for (const [what, list, wrong] of table) {
  t.test(`finds ${wrong.length} wrong: ${what}`, async (t) => {
    const found = compareParts(plan, reported, list)
    t.same(
      found.wrong.map(({ partNumber, code }) => [partNumber, code]),
      wrong,
    )
  })
}

t.test('a part that S3 has as reported, but that breaks the plan', async (t) => {
  const short = reported.map((part) => (part.partNumber === 2 ? { ...part, sizeBytes: 5 } : part))
  const list = changed(2, { sizeBytes: 5 })
  t.match(compareParts(plan, short, list).wrong, [{ partNumber: 2, etag: 'etag-2', code: 'PART_SIZE_WRONG' }])
  t.same(compareParts({ ...plan, partSizeBytes: null }, short, list).wrong, [], 'unless nobody knows the plan')
})

t.test('names the ETags that S3 lists: Complete wants those', async (t) => {
  t.equal(compareParts(plan, reported, changed(3, { etag: 'listed' })).etags.get(3), 'listed')
})
