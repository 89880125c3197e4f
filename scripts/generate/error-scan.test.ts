import path from 'node:path'
import t from 'tap'
import { codesIn, findErrorCodes } from './error-scan.ts'
import { documentedCodes, errorsPage } from './errors-page.ts'

const ROOT = path.resolve(import.meta.dirname, '..', '..')

t.test('every code that the sources give out has its sentence in docs/errors.md', async (t) => {
  const documented = documentedCodes()
  const found = await findErrorCodes(ROOT)
  t.ok(found.length > 100, `${found.length} found: the scan sees the sources`)
  t.same(
    found.filter(({ code }) => !documented.has(code)),
    [],
  )
})

t.test('no sentence is left of a code that nothing gives out any more', async (t) => {
  const { text } = await errorsPage(ROOT)
  const rows = text.split('\n').filter((line) => line.startsWith('| `'))
  t.ok(rows.length > 100)
  const stale = rows.filter((row) => /^\| `\w+` \|\s*\|\s*\|\s*\|/.test(row))
  t.same(stale, [])
})

t.test('codes are found in each shape in which they are written', async (t) => {
  const kinds = (source: string) => codesIn(source, 'x').map(({ code, kind }) => `${kind}:${code}`)
  t.same(kinds("throw new ConfigError(\n  'NEW_CODE',\n  `…`)"), ['Config:NEW_CODE'])
  t.same(kinds("new UploadError('CANCELLED', '')"), [':CANCELLED'])
  t.same(kinds("asUpstreamError('SEND_FAILED', '')"), ['Upstream:SEND_FAILED'])
  t.same(kinds("problem(413, 'TOO_LARGE', '')"), [':TOO_LARGE'])
  t.same(kinds("{ code: 'NO_RESULT', detail }"), [':NO_RESULT'])
  t.same(kinds("new Set('NOT_A_CODE')"), [])
})
