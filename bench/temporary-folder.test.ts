import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { withTemporaryFolder } from './temporary-folder.ts'

const MODULE = path.join(import.meta.dirname, 'temporary-folder.ts')

/** Works for ever in a folder that it names. */
const WORK = `
import { withTemporaryFolder } from ${JSON.stringify(MODULE)}
import { writeFileSync } from 'node:fs'
await withTemporaryFolder(async (folder) => {
  writeFileSync(folder + '/large.bin', 'x')
  console.log(folder)
  await new Promise(() => setInterval(() => {}, 1000))
})`

t.test('nothing is left of it when the work has ended, well or not', async (t) => {
  const folders: string[] = []
  const listeners = () => ['SIGINT', 'SIGTERM', 'SIGHUP'].map((signal) => process.listenerCount(signal))
  const before = listeners()
  t.equal(
    await withTemporaryFolder(async (folder) => {
      folders.push(folder)
      t.ok(existsSync(folder))
      return 7
    }),
    7,
  )
  const failing = withTemporaryFolder(async (folder) => {
    folders.push(folder)
    throw new Error('work')
  })
  await t.rejects(failing, { message: 'work' })
  t.same(
    folders.map((folder) => existsSync(folder)),
    [false, false],
  )
  t.same(listeners(), before)
})

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  t.test(`nor when the process is ended by ${signal}`, async (t) => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', WORK], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [said] = (await once(child.stdout, 'data')) as [Buffer]
    const folder = String(said).trim()
    t.ok(existsSync(folder))
    child.kill(signal)
    const [code, by] = await once(child, 'exit')
    t.notOk(existsSync(folder))
    t.same([code, by], [null, signal])
  })
}
