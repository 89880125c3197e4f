import { randomBytes } from 'node:crypto'
import t from 'tap'
import { type OpenedSource, openSource } from './source-parts.ts'
import type { UploadSource } from './types.ts'

const PART = 1000
const BYTES = randomBytes(3500)

const readable = (bytes: Buffer): UploadSource => ({
  size: BYTES.length,
  readInto: async (into, start) => bytes.copy(into, 0, start),
})

const stream = (bytes: Uint8Array): ReadableStream<Uint8Array> => new Blob([new Uint8Array(bytes)]).stream()

const partsOf = (source: OpenedSource) => source.parts(PART, [1, 2, 3, 4])

t.test('the memory of a part serves the next one once nobody looks at it any more', async (t) => {
  for (const [name, source] of [
    ['a source that reads into memory', readable(BYTES)],
    ['a stream', stream(BYTES)],
  ] as const) {
    const parts = partsOf(await openSource(source))
    const [first, second] = [await parts.next(), await parts.next()]
    t.not(first?.bytes.buffer, second?.bytes.buffer, `${name}: two that are looked at`)
    if (first !== undefined) parts.release(first.bytes)
    const third = await parts.next()
    t.equal(third?.bytes.buffer, first?.bytes.buffer, `${name}: the third is where the first was`)
    t.ok(BYTES.subarray(2000, 3000).equals(third?.bytes ?? new Uint8Array()))
    if (third !== undefined) parts.release(third.bytes)
    const last = await parts.next()
    t.equal(last?.bytes.buffer, first?.bytes.buffer, `${name}: the last, which is shorter, too`)
    t.ok(BYTES.subarray(3000).equals(last?.bytes ?? new Uint8Array()))
    t.equal(await parts.next(), undefined)
  }
})

t.test('memory that is too short is not used for a longer part', async (t) => {
  const parts = (await openSource(readable(BYTES))).parts(PART, [4, 1])
  const last = await parts.next()
  if (last !== undefined) parts.release(last.bytes)
  t.ok(BYTES.subarray(0, PART).equals((await parts.next())?.bytes ?? new Uint8Array()))
})

t.test('a source that ends before its size was changed, one that fails is unreadable', async (t) => {
  const short = partsOf(await openSource(readable(BYTES.subarray(0, 1200))))
  await short.next()
  await t.rejects(short.next(), { code: 'FILE_CHANGED' })
  const broken = { size: BYTES.length, readInto: () => Promise.reject(new Error('EIO')) }
  await t.rejects(partsOf(await openSource(broken)).next(), { code: 'FILE_UNREADABLE' })
})

t.test("a browser's file of which nothing can be read any more was changed", async (t) => {
  const blob = Object.assign(new Blob(['bytes']), { slice: () => new Blob() })
  await t.rejects((await openSource(blob)).checkUnchanged?.() ?? Promise.resolve(), { code: 'FILE_CHANGED' })
})
