import { mkdtemp, readFile, rm, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import fastify from 'fastify'
import t, { type Test } from 'tap'
import { buildPages, PAGES } from './build.ts'
import web from './plugin.ts'

const temporary = async (t: Test): Promise<string> => {
  const folder = await mkdtemp(path.join(tmpdir(), 'reelstream-web-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

t.test('a build is skipped while nothing that it read has changed', async (t) => {
  const outDir = await temporary(t)
  t.equal((await buildPages(outDir)).rebuilt, true)
  t.equal((await buildPages(outDir)).rebuilt, false)
  const source = path.join(import.meta.dirname, 'pages', 'watch.html')
  await utimes(source, new Date(), new Date())
  t.equal((await buildPages(outDir)).rebuilt, true, 'a touched source')
})

t.test('two processes that build at the same time leave one whole build', async (t) => {
  const outDir = await temporary(t)
  await Promise.all([buildPages(outDir), buildPages(outDir)])
  t.equal((await buildPages(outDir)).rebuilt, false)
  for (const page of PAGES) t.match(await readFile(path.join(outDir, `${page}.html`), 'utf8'), /<\/html>/)
})

t.test('served', async (t) => {
  const app = fastify()
  t.teardown(() => app.close())
  await app.register(web, { storageOrigins: ['https://s3.example'], outDir: await temporary(t) })
  const get = (url: string, headers: Record<string, string> = {}) => app.inject({ url, headers })
  const assetsOf = (html: string) => [...html.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, url]) => url ?? '')

  await t.test('each page names its assets, and nothing of another origin', async (t) => {
    for (const url of ['/', '/upload', '/v/3f8a4b1e-52c7-5d39-9b0e-7a64c1f0d2e8']) {
      const { statusCode, headers, body } = await get(url)
      t.equal(statusCode, 200, url)
      t.match(headers['content-type'], /text\/html/)
      t.equal(headers['cache-control'], 'no-cache')
      t.ok(assetsOf(body).length >= 3)
      for (const asset of assetsOf(body)) t.equal((await get(asset)).statusCode, 200, asset)
      t.notMatch(body, /https?:\/\//)
      t.notMatch(body, /\{\{/, 'every value is filled in')
      t.notMatch(body, /<script(?![^>]* src=)|<style| on[a-z]+="/, 'no inline script or style')
    }
  })

  await t.test('the policy lets only our own scripts run, and parts go only to the store', async (t) => {
    const policy = String((await get('/')).headers['content-security-policy'])
    t.match(policy, /default-src 'none'/)
    t.match(policy, /script-src 'self';/)
    t.match(policy, /connect-src 'self' https:\/\/s3\.example;/)
    t.notMatch(policy, /unsafe-eval/)
  })

  await t.test('a page is revalidated, an asset is kept for ever and comes compressed', async (t) => {
    const page = await get('/')
    const again = await get('/', { 'if-none-match': String(page.headers.etag) })
    t.equal(again.statusCode, 304)
    const [script = ''] = assetsOf(page.body).filter((url) => url.endsWith('.js'))
    const { headers } = await get(script, { 'accept-encoding': 'br' })
    t.match(headers['cache-control'], /max-age=31536000, immutable/)
    t.equal(headers['content-encoding'], 'br')
  })

  await t.test('nothing outside the assets is reachable', async (t) => {
    for (const url of ['/assets/../manifest.json', '/assets/%2e%2e/manifest.json', '/assets/nothing.js']) {
      t.equal((await get(url)).statusCode, 404, url)
    }
  })
})
