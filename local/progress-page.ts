import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Progress, Step } from './progress.ts'

/**
 * What the web port answers while the product starts: a page that shows each step and turns into the product as soon
 * as that is ready. Every other request gets a 503 with Retry-After, so that programs wait as well.
 *
 * The page asks for itself again by script, because for a moment nobody listens (this server has closed, the product's
 * has not bound yet), and a browser's own refresh would end there on its error page.
 */
export interface ProgressServer {
  readonly port: number
  close(): Promise<void>
}

/** @param port 0 = any free port, see the result */
export const startProgressServer = (host: string, port: number, progress: Progress): Promise<ProgressServer> =>
  new Promise((resolve, reject) => {
    const server = createServer((request, response) => {
      const wantsPage = request.headers.accept?.includes('text/html') === true
      response.writeHead(503, {
        'content-type': wantsPage ? 'text/html; charset=utf-8' : 'application/problem+json',
        'retry-after': '1',
        'cache-control': 'no-store',
        connection: 'close',
      })
      response.end(wantsPage ? progressPage(progress.steps()) : STARTING_PROBLEM)
    })
    server.once('error', reject)
    server.listen({ host, port }, () =>
      resolve({
        port: (server.address() as AddressInfo).port,
        close: () =>
          new Promise((closed) => {
            server.close(() => closed())
            server.closeAllConnections()
          }),
      }),
    )
  })

const STARTING_PROBLEM = JSON.stringify({
  type: 'about:blank',
  title: 'Service Unavailable',
  status: 503,
  code: 'STARTING',
  detail: 'Reelstream is starting.',
})

export const progressPage = (steps: readonly Step[]): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Reelstream is starting</title>
<style>
  :root { color-scheme: dark light; font: 16px/1.5 system-ui, sans-serif }
  body { display: grid; place-items: center; min-height: 100vh; margin: 0; background: #0e1116; color: #e6e9ef }
  main { width: min(34rem, 90vw) }
  h1 { font-size: 1.25rem; font-weight: 600 }
  ol { list-style: none; padding: 0 }
  li { display: flex; gap: .75rem; padding: .4rem 0; border-top: 1px solid #232833 }
  li span:last-child { margin-left: auto; color: #8b94a7; text-align: right }
  .ready { color: #6ee7a8 } .failed { color: #ff8a8a } .waiting { color: #8b94a7 }
  .working::before { content: "●"; animation: pulse 1s infinite alternate }
  .ready::before { content: "✓" } .failed::before { content: "✗" } .waiting::before { content: "○" }
  @keyframes pulse { from { opacity: .25 } }
</style>
<main>
  <h1>Reelstream is starting</h1>
  <ol>${steps.map(listItem).join('')}</ol>
</main>
<script>
  const again = async () => {
    try {
      const response = await fetch(location.href, { headers: { accept: 'text/html' }, cache: 'no-store' })
      if (response.status !== 503) return location.reload()
      const page = new DOMParser().parseFromString(await response.text(), 'text/html')
      const list = page.querySelector('ol')
      if (list) document.querySelector('ol').replaceWith(list)
    } catch {
      // Nobody listens for the moment between the two servers.
    }
    setTimeout(again, 700)
  }
  setTimeout(again, 700)
</script>
</html>
`

const listItem = ({ title, state, detail }: Step): string =>
  `<li><span class="${state}"></span><span>${escapeHtml(title)}</span><span>${escapeHtml(detail)}</span></li>`

const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
