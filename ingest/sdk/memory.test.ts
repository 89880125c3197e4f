import t from 'tap'
import { hasExpired, type OpenUpload, storageMemory } from './memory.ts'
import { webStorage } from './testing/servers.ts'

const upload = (fingerprint: string, change: Partial<OpenUpload> = {}): OpenUpload => ({
  fingerprint,
  idempotencyKey: `key of ${fingerprint}`,
  uploadId: null,
  details: { title: 'Holiday', tags: ['sea'] },
  sizeBytes: 10,
  beganAtMs: 1_000,
  expiresAtMs: null,
  ...change,
})

t.test('what is remembered is recalled, in its order, and what is forgotten is not', async (t) => {
  const memory = storageMemory(webStorage, 'mine.', () => 2_000)
  t.same(await memory.all(), [])
  const items = webStorage()
  const own = storageMemory(
    () => items,
    'mine.',
    () => 2_000,
  )
  const others = storageMemory(
    () => items,
    'theirs.',
    () => 2_000,
  )
  await own.remember(upload('b', { beganAtMs: 1_500 }))
  await own.remember(upload('a'))
  await others.remember(upload('c'))
  t.same(await own.recall('a'), upload('a'))
  t.equal(await own.recall('c'), undefined)
  t.same(
    (await own.all()).map(({ fingerprint }) => fingerprint),
    ['a', 'b'],
  )
  await own.forget('a')
  await own.forget('a')
  t.equal(await own.recall('a'), undefined)
})

t.test('what the server has given up is not given out', async (t) => {
  let now = 2_000
  const items = webStorage()
  const memory = storageMemory(
    () => items,
    'mine.',
    () => now,
  )
  await memory.remember(upload('a', { expiresAtMs: 5_000 }))
  t.ok(await memory.recall('a'))
  now = 5_001
  t.equal(await memory.recall('a'), undefined)
  t.equal(items.length, 0)
  t.notOk(hasExpired(upload('never answered'), 5_001))
  t.ok(hasExpired(upload('never answered'), 1_000 + 31 * 24 * 3_600_000))
})

t.test('an entry that is not ours is removed, not trusted', async (t) => {
  for (const text of ['', 'no json', 'null', '[]', '{"fingerprint":"a"}']) {
    const items = webStorage()
    items.setItem('mine.a', text)
    const memory = storageMemory(() => items, 'mine.')
    t.equal(await memory.recall('a'), undefined, text)
    t.same(await memory.all(), [])
    t.equal(items.length, 0)
  }
})
