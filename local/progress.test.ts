import t from 'tap'
import { createProgress } from './progress.ts'
import { progressPage, startProgressServer } from './progress-page.ts'

t.test('each step is said when it starts and when it is ready, with how long it took', async (t) => {
  const lines: string[] = []
  let nowMs = 0
  const progress = createProgress(
    (line) => lines.push(line),
    () => nowMs,
  )
  progress.update('kafka', { title: 'Kafka', state: 'working', detail: 'starting' })
  nowMs = 2_100
  progress.update('kafka', { state: 'ready', detail: 'ready after' })
  t.same(lines, ['  … Kafka  starting', '  ✓ Kafka  ready after 2.1 s'])
})

t.test('a download that reports every file says one line a second', async (t) => {
  const lines: string[] = []
  let nowMs = 10_000
  const progress = createProgress(
    (line) => lines.push(line),
    () => nowMs,
  )
  for (let i = 0; i < 30; i++, nowMs += 100) progress.update('d', { title: 'D', state: 'working', detail: `${i}` })
  t.equal(lines.length, 4)
})

t.test('while starting, browsers get the steps and programs get a problem with Retry-After', async (t) => {
  const progress = createProgress(() => undefined)
  progress.update('kafka', { title: 'Kafka', state: 'working', detail: 'starting' })
  const server = await startProgressServer('127.0.0.1', 0, progress)
  t.teardown(() => server.close())
  const url = `http://127.0.0.1:${server.port}/watch/x`
  const page = await fetch(url, { headers: { accept: 'text/html' } })
  t.match(await page.text(), /<span class="working"><\/span><span>Kafka<\/span>/)
  const problem = await fetch(url)
  t.equal(problem.status, 503)
  t.equal(problem.headers.get('retry-after'), '1')
  t.match(await problem.json(), { code: 'STARTING', status: 503 })
})

t.test('what a server said is shown as text, never as markup', async (t) => {
  t.notMatch(
    progressPage([{ name: 'x', title: 'X', state: 'failed', detail: '<script>alert(1)</script>' }]),
    '<script>alert',
  )
})
