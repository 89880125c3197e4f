import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'

/** What the documents name (files, npm scripts, folders) exists. */
const ROOT = path.resolve(import.meta.dirname, '..')
const documents = globSync(['*.md', 'docs/**/*.md'], { cwd: ROOT })
const text = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8')
const { scripts } = JSON.parse(text('package.json')) as { scripts: Record<string, string> }

t.test('every link to a file leads to one', async (t) => {
  t.ok(documents.length > 15)
  for (const document of documents) {
    const links = [...text(document).matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, link]) => link ?? '')
    const broken = links.filter((link) => !existsSync(path.join(ROOT, path.dirname(document), link)))
    t.same(broken, [], document)
  }
})

t.test('every npm script that a document names is there', async (t) => {
  const named = documents.flatMap((document) => [...text(document).matchAll(/npm run ([a-z:]+)/g)])
  t.ok(named.length > 8)
  t.same(
    named.map(([, name]) => name ?? '').filter((name) => !(name in scripts)),
    [],
  )
})

t.test("the README's tree has every folder of the checkout, and no other", async (t) => {
  const tree = /## The tree\s+```\n([\s\S]*?)```/.exec(text('README.md'))?.[1] ?? ''
  const named = tree.split('\n').flatMap((line) => /^([a-z]+)\//.exec(line)?.[1] ?? [])
  const folders = readdirSync(ROOT, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.') && !IGNORED.has(entry.name))
    .map(({ name }) => name)
  t.same([...named].sort(), folders.sort())
})

t.test('code that a document shows is the code of the file that it names', async (t) => {
  const shown = documents.flatMap((document) => [
    ...text(document).matchAll(/<!-- (\S+\.ts) -->\n```ts\n([\s\S]*?)```/g),
  ])
  t.ok(shown.length >= 3)
  for (const [, file = '', code] of shown) t.equal(code, text(file), file)
})

t.test('decisions are numbered without a gap', async (t) => {
  const numbers = readdirSync(path.join(ROOT, 'docs', 'adr')).map((name) => Number(name.slice(0, 4)))
  t.same(
    numbers.sort((a, b) => a - b),
    numbers.map((_, i) => i + 1),
  )
})

const IGNORED = new Set(['node_modules', 'coverage'])
