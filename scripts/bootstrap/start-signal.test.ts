import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'

const { scripts } = JSON.parse(readFileSync(path.join(import.meta.dirname, '..', '..', 'package.json'), 'utf8'))

/** In the place of the bootstrap: says that it runs, and that it was asked to end. */
const STAND_IN = `
process.on('SIGTERM', () => {
  console.log('asked to end')
  process.exit(0)
})
setInterval(() => {}, 1000)
console.log('runs')
`

t.test('SIGTERM to what npm starts reaches the product, which stops its servers', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'reelstream-start-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await mkdir(path.join(folder, 'scripts'))
  await writeFile(path.join(folder, 'scripts', 'bootstrap.mjs'), STAND_IN)
  // As npm does it: by a shell, to which it passes on the signals that it gets. A shell passes on none.
  const shell = spawn('sh', ['-c', scripts.start], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  })
  t.teardown(() => {
    try {
      process.kill(-(shell.pid ?? 0), 'SIGKILL')
    } catch {
      // all of them have ended
    }
  })
  const exited = once(shell, 'exit')
  let said = ''
  shell.stdout.on('data', (text) => {
    said += text
    if (said === 'runs\n') shell.kill('SIGTERM')
  })
  t.same(await exited, [0, null])
  t.equal(said, 'runs\nasked to end\n')
})
