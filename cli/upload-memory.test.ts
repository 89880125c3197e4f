import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises'
import path from 'node:path'
import t, { type Test } from 'tap'
import type { OpenUpload } from '../ingest/sdk/index.ts'
import { fileMemory, uploadMemoryFile } from './upload-memory.ts'

const upload = (fingerprint: string, change: Partial<OpenUpload> = {}): OpenUpload => ({
  ...{ fingerprint, idempotencyKey: `key of ${fingerprint}`, uploadId: null, details: { title: 'Sea' }, sizeBytes: 1 },
  ...{ beganAtMs: Date.now(), expiresAtMs: null, ...change },
})

const memoryIn = (t: Test) => {
  const file = uploadMemoryFile(t.testdir())
  return { file, folder: path.dirname(file), memory: fileMemory(file) }
}

t.test('it is in the state folder of the user, and nobody else reads it', async (t) => {
  t.match(uploadMemoryFile(''), /\/\.local\/state\/reelstream\/uploads\.json$/)
  const { file, memory } = memoryIn(t)
  t.same(await memory.all(), [], 'there is no file yet')
  await memory.remember(upload('a'))
  t.equal((await stat(file)).mode & 0o777, 0o600)
  t.match(await memory.recall('a'), { idempotencyKey: 'key of a' })
  await memory.forget('a')
  t.same(await memory.all(), [])
})

t.test('many at once, of several memories, lose nothing and leave nothing behind', async (t) => {
  const { file, folder, memory } = memoryIn(t)
  const other = fileMemory(file)
  const names = Array.from({ length: 20 }, (_, i) => `upload-${i}`)
  await Promise.all(names.map((name, i) => (i % 2 === 0 ? memory : other).remember(upload(name))))
  t.equal((await memory.all()).length, 20)
  t.same(await readdir(folder), ['uploads.json'])
})

t.test('the lock of a process that died is taken over', async (t) => {
  const { file, folder, memory } = memoryIn(t)
  const dead = spawn(process.execPath, ['-e', ''])
  await once(dead, 'exit')
  await mkdir(folder, { recursive: true })
  await writeFile(`${file}.lock`, String(dead.pid))
  await memory.remember(upload('a'))
  t.ok(await memory.recall('a'))
})

t.test('a lock that is old is taken over, whatever is in it, and by one of many alone', async (t) => {
  for (const content of ['', String(process.pid)]) {
    const { file, folder } = memoryIn(t)
    await mkdir(folder, { recursive: true })
    await writeFile(`${file}.lock`, content)
    const minuteAgo = Date.now() / 1000 - 60
    await utimes(`${file}.lock`, minuteAgo, minuteAgo)
    const names = Array.from({ length: 20 }, (_, i) => `upload-${i}`)
    await Promise.all(names.map((name) => fileMemory(file).remember(upload(name))))
    t.equal((await fileMemory(file).all()).length, 20)
    t.same(await readdir(folder), ['uploads.json'])
  }
})

t.test('a lock that somebody holds is waited for, and not taken', async (t) => {
  const { file, folder, memory } = memoryIn(t)
  await mkdir(folder, { recursive: true })
  await writeFile(`${file}.lock`, String(process.pid))
  await t.rejects(memory.remember(upload('a')), { code: 'STATE_LOCKED' })
  t.equal(await readFile(`${file}.lock`, 'utf8'), String(process.pid))
})

t.test('what has expired is forgotten; what is not ours is replaced', async (t) => {
  const { file, folder, memory } = memoryIn(t)
  await memory.remember(upload('old', { expiresAtMs: Date.now() - 1 }))
  t.same(await memory.all(), [])
  await mkdir(folder, { recursive: true })
  for (const text of ['', '{"uploads":', '[]', '{"uploads":[{}]}', '{"uploads":7}']) {
    await writeFile(file, text)
    t.same(await memory.all(), [], text)
  }
  await memory.remember(upload('a'))
  t.equal((await memory.all()).length, 1)
})
