import fc from 'fast-check'
import t from 'tap'
import { examples } from '../../schemas/examples.ts'
import { MAX_PARTS, partPlanFor } from '../../storage/part-size.ts'
import { changeProblem, importProblem, partProblem, sealProblem, unicodeProblem, uploadProblem } from './values.ts'

const details = examples.UploadStarted.details as NonNullable<typeof examples.UploadStarted.details>
const nested = (levels: number): string => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`

const good: readonly Partial<typeof details>[] = [
  { title: 'x' },
  { title: '🎬'.repeat(200) },
  { description: '' },
  { tags: [] },
  { metadata: null },
  { metadata: '{}' },
  { metadata: nested(16) },
  { fileName: '../../etc/passwd' },
]
const bad: readonly Partial<typeof details>[] = [
  { title: '' },
  { title: '  \n' },
  { title: 'x'.repeat(201) },
  { description: 'x'.repeat(5_001) },
  { author: 'x'.repeat(201) },
  { tags: Array.from({ length: 51 }, (_, i) => `tag${i}`) },
  { tags: ['Upper'] },
  { tags: [''] },
  { tags: ['x'.repeat(51)] },
  { metadata: 'no json' },
  { metadata: '[1]' },
  { metadata: 'null' },
  { metadata: nested(17) },
  { metadata: JSON.stringify({ long: 'x'.repeat(64 * 1024) }) },
  { fileName: 'x'.repeat(1_001) },
]

t.test('takes details within their limits, and no others', async (t) => {
  for (const change of good) t.equal(uploadProblem(withDetails(change)), null, JSON.stringify(change).slice(0, 60))
  for (const change of bad) t.type(uploadProblem(withDetails(change)), 'string', JSON.stringify(change).slice(0, 60))
})

function withDetails(change: Partial<typeof details>): typeof examples.UploadStarted {
  return { ...examples.UploadStarted, details: { ...details, ...change } }
}

t.test('asks for details, open or sealed', async (t) => {
  const sealedDetails = { keyId: 'k1', nonce: Buffer.alloc(12), bytes: Buffer.alloc(64) }
  t.type(uploadProblem({ ...examples.UploadStarted, details: null }), 'string')
  t.equal(uploadProblem({ ...examples.UploadStarted, details: null, sealedDetails }), null)
})

t.test('takes every cut of a file that our own planner makes, and no other number of parts', async () => {
  const sizes = fc.integer({ min: 1, max: 5 * 1024 ** 4 })
  fc.assert(
    fc.property(sizes, (sizeBytes) => {
      const claim = { ...examples.UploadStarted, sizeBytes, ...partPlanFor(sizeBytes) }
      const more = { ...claim, partCount: claim.partCount + 1 }
      return uploadProblem(claim) === null && uploadProblem(more) !== null
    }),
  )
})

t.test('wants the length and the number of parts together', async (t) => {
  t.type(uploadProblem({ ...examples.UploadStarted, sizeBytes: null }), 'string')
  t.type(uploadProblem({ ...examples.UploadStarted, partCount: null }), 'string')
})

t.test('wants parts within the limits of S3', async (t) => {
  const partSizes = [5 * 1024 ** 2 - 1, 5 * 1024 ** 3 + 1, 1.5, Number.NaN]
  for (const partSizeBytes of partSizes) t.type(uploadProblem({ ...examples.UploadStarted, partSizeBytes }), 'string')
  for (const partNumber of [0, -1, 9, 10_001])
    t.type(partProblem({ ...examples.PartUploaded, partNumber }, 8), 'string')
  t.equal(partProblem({ ...examples.PartUploaded, partNumber: MAX_PARTS }, null), null)
  t.type(partProblem({ ...examples.PartUploaded, partNumber: MAX_PARTS + 1 }, null), 'string')
  t.type(partProblem({ ...examples.PartUploaded, sizeBytes: 0 }, 8), 'string')
  t.type(partProblem({ ...examples.PartUploaded, etag: '' }, 8), 'string')
})

t.test('wants a seal that fits the length of a part', async (t) => {
  const partSizeBytes = examples.UploadStarted.partSizeBytes
  t.equal(sealProblem(examples.UploadSealed, partSizeBytes), null)
  t.type(sealProblem({ ...examples.UploadSealed, partCount: 7 }, partSizeBytes), 'string')
  t.type(sealProblem({ sizeBytes: 0, partCount: 0 }, partSizeBytes), 'string')
})

t.test('wants an import to name its author, its details and a bare etag', async (t) => {
  const claim = { ...examples.UploadCompleted, authorId: 'author-1', details }
  t.equal(importProblem(claim), null)
  t.equal(importProblem({ ...claim, sizeBytes: 0 }), null, 'an empty object is rejected later, by what it is')
  t.type(importProblem({ ...claim, authorId: null }), 'string')
  t.type(importProblem({ ...claim, authorId: ' ' }), 'string')
  t.type(importProblem({ ...claim, details: null }), 'string')
  t.type(importProblem({ ...claim, etag: '"quoted"' }), 'string')
})

t.test('a change says what it changes', async (t) => {
  const change = { ...examples.VideoDetailsChanged, title: null, tags: null }
  t.type(changeProblem(change), 'string')
  t.equal(changeProblem({ ...change, visibility: 'PRIVATE' }), null)
  t.type(changeProblem({ ...change, title: '' }), 'string')
})

t.test('text that a reader could not hold is refused wherever it hides', async (t) => {
  t.equal(unicodeProblem(examples.UploadStarted), null)
  const titled = (title: string) => ({ ...examples.UploadStarted, details: { ...details, title } })
  t.equal(unicodeProblem(titled('a film 🎬')), null)
  t.type(unicodeProblem(titled('a\0b')), 'string')
  t.type(unicodeProblem(titled('half a pair: \ud83c')), 'string')
  const described = (metadata: string) => ({ ...examples.UploadStarted, details: { ...details, metadata } })
  t.equal(unicodeProblem(described('{"camera":{"iso":100}}')), null)
  t.type(unicodeProblem(described('{"camera":{"name":"a\\u0000b"}}')), 'string')
  t.type(unicodeProblem(described('{"a\\ud83c":1}')), 'string')
  t.equal(unicodeProblem(described('no JSON')), null, 'is found elsewhere')
})
