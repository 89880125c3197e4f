import { readdir } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { chooseFiles } from './chosen-files.ts'

t.test('a folder is its videos in order, each once; the others are skipped with a reason', async (t) => {
  const folder = t.testdir({
    'b.mp4': '',
    'notes.txt': '',
    sea: { 'a.MKV': '', round: t.fixture('symlink', '..') },
    'gone.mp4': t.fixture('symlink', 'nowhere'),
  })
  const { files, skipped } = await chooseFiles(['.', 'b.mp4', 'any.name'], folder)
  t.same(
    files.map(({ shown }) => shown),
    ['b.mp4', 'gone.mp4', 'sea/a.MKV', 'any.name'],
    'what a link leads to is the business of whoever opens it',
  )
  t.same(skipped, [
    { shown: 'notes.txt', reason: 'is not called like a video' },
    { shown: 'sea/round', reason: 'is a link to a folder' },
  ])
})

t.test('a folder that cannot be read fails, and the others are read', async (t) => {
  const folder = t.testdir({ films: { 'a.mp4': '', secret: { 'b.mp4': '' }, 'z.mp4': '' } })
  // Injected: permissions stop nobody who is root.
  const refusing = (closed: string) => (folder: string) => {
    if (path.basename(folder) === closed) throw Object.assign(new Error('EACCES'), { code: 'EACCES' })
    return readdir(folder, { withFileTypes: true })
  }
  const failure = { code: 'FILE_UNREADABLE' }
  const { files, skipped } = await chooseFiles(['films'], folder, refusing('secret'))
  t.match(files, [{ shown: 'films/a.mp4' }, { shown: 'films/secret', failure }, { shown: 'films/z.mp4' }])
  t.same(skipped, [])
  const named = await chooseFiles(['films'], folder, refusing('films'))
  t.match(named.files, [{ failure: { ...failure, message: 'The folder films cannot be read (EACCES).' } }])
})
