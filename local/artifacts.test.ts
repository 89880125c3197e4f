import { readFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { artifactFolder, findDifferences, parseChecksums } from './artifacts.ts'

const HELLO = '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824'

t.test('a folder that holds exactly the listed files passes', async (t) => {
  const folder = t.testdir({ kafka: { 'a.jar': 'hello' } })
  t.same(await findDifferences(folder, parseChecksums(`${HELLO}  kafka/a.jar\n`)), [])
})

t.test('a changed, a missing and an unlisted file are each named', async (t) => {
  const folder = t.testdir({ kafka: { 'a.jar': 'hullo', 'c.jar': '' } })
  const problems = await findDifferences(folder, parseChecksums(`${HELLO}  kafka/a.jar\n${HELLO}  kafka/b.jar\n`))
  t.equal(problems.length, 3)
  t.match(
    problems.join('\n'),
    /c\.jar: not listed[\s\S]*a\.jar: expected 2cf2[\s\S]*b\.jar: expected 2cf2.*got missing/,
  )
})

t.test('the pinned checksums cover every server of the pom', async (t) => {
  const sums = parseChecksums(await readFile(path.join(import.meta.dirname, 'artifacts.sha256'), 'utf8'))
  const names = [...sums.keys()]
  t.ok(names.includes('kafka/kafka_2.13-4.4.0.jar'))
  t.ok(names.some((name) => name.startsWith('s3/s3proxy-4.1.0')))
  t.ok(names.some((name) => name.startsWith('registry/apicurio-registry-app-2.6.13.Final')))
  t.ok([...sums.values()].every((sum) => /^[0-9a-f]{64}$/.test(sum)))
})

t.test('other checksums mean another folder, and the folder never has a space in its path', async (t) => {
  const folder = artifactFolder('', 'one', '/home/ann')
  t.match(folder, /^\/home\/ann\/\.cache\/reelstream\/servers-[0-9a-f]{12}$/)
  t.not(artifactFolder('', 'two', '/home/ann'), folder)
  t.notMatch(artifactFolder('', 'one', '/home/ann lee'), /\s/)
  t.match(artifactFolder('/cache', 'one', '/home/ann'), /^\/cache\/servers-/)
})
