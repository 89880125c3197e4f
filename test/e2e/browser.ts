/**
 * A real Chromium, headless, as a test's viewer. Playwright's core drives the browser of the machine: nothing is
 * downloaded. Everything the console says and every request that leaves the origin is written down, so that a test can
 * assert that there was nothing to say.
 */
import { existsSync } from 'node:fs'
import path from 'node:path'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { childEnvironment } from '../../platform/config.ts'
import { ConfigError } from '../../platform/errors.ts'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome']

const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--autoplay-policy=no-user-gesture-required',
]

export const launchBrowser = (): Promise<Browser> =>
  chromium.launch({ executablePath: findChromium(), args: ARGUMENTS, headless: true })

const findChromium = (): string => {
  const folders = (childEnvironment({}).PATH ?? '').split(path.delimiter)
  const found = NAMES.flatMap((name) => folders.map((folder) => path.join(folder, name))).find((file) =>
    existsSync(file),
  )
  if (found === undefined) {
    throw new ConfigError('BROWSER_MISSING', `The browser tests need Chromium: none of ${NAMES.join(', ')} is in PATH.`)
  }
  return found
}

export interface Visit {
  readonly page: Page
  /** Errors and warnings of the console, uncaught exceptions, and requests to other origins, as text. */
  readonly complaints: readonly string[]
  close(): Promise<void>
}

/** Opens a page in a context of its own. @param allowedOrigins besides the page's, such as the object store's */
export const visit = async (
  browser: Browser,
  url: string,
  { allowedOrigins = [], ...options }: BrowserContextOptions & { readonly allowedOrigins?: readonly string[] } = {},
): Promise<Visit> => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options })
  const page = await context.newPage()
  const complaints: string[] = []
  const origins = new Set([new URL(url).origin, ...allowedOrigins, 'null'])
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(`${message.type()}: ${message.text()}`)
  })
  page.on('pageerror', (error) => complaints.push(`uncaught: ${error.message}`))
  page.on('request', (request) => {
    const { origin } = new URL(request.url())
    if (!origins.has(origin)) complaints.push(`foreign request: ${request.url()}`)
  })
  await page.goto(url)
  return { page, complaints, close: () => context.close() }
}

const OPERABLE = new Set(['button', 'link', 'textbox', 'radio', 'checkbox', 'slider', 'combobox', 'menuitemradio'])

/** Controls that a screen reader could only call by their kind, from the browser's own accessibility tree. */
export const namelessControls = async (page: Page): Promise<readonly string[]> => {
  const devtools = await page.context().newCDPSession(page)
  const { nodes } = await devtools.send('Accessibility.getFullAXTree')
  return nodes
    .filter(({ ignored, role, name }) => !ignored && OPERABLE.has(String(role?.value)) && !name?.value)
    .map(({ role, nodeId }) => `${role?.value} ${nodeId}`)
}
