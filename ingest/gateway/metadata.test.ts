import fc from 'fast-check'
import t from 'tap'
import { MAX_DEPTH, MAX_LEAVES, MAX_METADATA_BYTES, metadataText } from './metadata.ts'

const nested = (depth: number): object => (depth === 1 ? { leaf: 1 } : { in: nested(depth - 1) })
const leaves = (count: number): object => Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, i]))

t.test('every JSON object within the limits survives', async (t) => {
  const text = fc.string({ unit: 'grapheme', maxLength: 10 }).filter((s) => !s.includes('\u0000') && s !== '__proto__')
  const { tree } = fc.letrec<{ tree: unknown; node: unknown }>((tie) => ({
    node: fc.oneof({ depthSize: 'small' }, text, fc.double({ noNaN: true, noDefaultInfinity: true }), tie('tree')),
    tree: fc.dictionary(text, tie('node'), { maxKeys: 4 }),
  }))
  fc.assert(
    fc.property(tree, (value) => metadataText(value) === JSON.stringify(value)),
    { numRuns: 300 },
  )
  t.pass('held')
})

t.test('each limit is exact', async (t) => {
  t.ok(metadataText(nested(MAX_DEPTH)))
  t.throws(() => metadataText(nested(MAX_DEPTH + 1)), { code: 'METADATA_INVALID' })
  t.ok(metadataText(leaves(MAX_LEAVES)))
  t.throws(() => metadataText(leaves(MAX_LEAVES + 1)), { code: 'METADATA_INVALID' })
  const frame = JSON.stringify({ text: '' }).length
  t.ok(metadataText({ text: 'x'.repeat(MAX_METADATA_BYTES - frame) }))
  t.throws(() => metadataText({ text: 'x'.repeat(MAX_METADATA_BYTES - frame + 1) }), { code: 'METADATA_INVALID' })
  t.throws(
    () => metadataText({ text: 'ü'.repeat(MAX_METADATA_BYTES / 2) }),
    { code: 'METADATA_INVALID' },
    'bytes count',
  )
})

t.test('a tree too deep for the stack is refused like any other', async (t) => {
  const deep = JSON.parse(`${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`)
  t.throws(() => metadataText(deep), { code: 'METADATA_INVALID' })
})

t.test('refuses what a store behind this door cannot hold, naming the place', async (t) => {
  t.throws(() => metadataText({ camera: { name: 'a\u0000' } }), { message: /metadata\.camera\.name/ })
  t.throws(() => metadataText({ 'half \ud800': 1 }), { code: 'METADATA_INVALID' })
  t.throws(() => metadataText(JSON.parse('{"n":1e999}')), { message: /metadata\.n is too large/ })
  for (const value of [null, [], 'text', 5]) t.throws(() => metadataText(value), { code: 'METADATA_INVALID' })
})
