import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { configPage } from './generate/config-page.ts'
import { envExample } from './generate/env-example.ts'
import { errorsPage } from './generate/errors-page.ts'
import { eventsPage } from './generate/events-page.ts'
import { metricsPage } from './generate/metrics-page.ts'
import { avscFilesBelow, type GeneratedFile, generateModules } from './generate/typescript.ts'

/**
 * `npm run generate` writes everything that derives from declarations: the TypeScript types of the .avsc files and the
 * reference pages below docs/ and .env.example. `--check` writes nothing and fails when a file in the tree differs: CI's guard against
 * drift.
 */
const root = path.resolve(import.meta.dirname, '..')
const check = process.argv.includes('--check')

const avsc = ['schemas', 'processors', 'runtime'].flatMap((folder) => avscFilesBelow(root, folder))
const files: GeneratedFile[] = generateModules(root, avsc)
// The pages import what was just generated, so the modules are written first and the rest is loaded after.
const stale = files.filter((file) => !isCurrent(file))
if (!check) stale.forEach(write)
const { asyncApiPage } = await import('./generate/asyncapi-page.ts')
const { aclsPage } = await import('./generate/acls-page.ts')
const { topologyPage } = await import('./generate/topology-page.ts')
const pages: GeneratedFile[] = [
  configPage(),
  envExample(),
  await errorsPage(root),
  await eventsPage(root),
  metricsPage(),
  topologyPage(),
  aclsPage(),
  asyncApiPage(root),
]
const stalePages = pages.filter((page) => !isCurrent(page))
if (!check) stalePages.forEach(write)

const drifted = [...stale, ...stalePages]
if (check && drifted.length > 0) {
  console.error(`Not up to date, run \`npm run generate\`:\n${drifted.map((file) => `  ${file.path}`).join('\n')}`)
  process.exitCode = 1
} else {
  console.log(`${files.length + pages.length} generated files, ${drifted.length} ${check ? 'stale' : 'written'}`)
}

function isCurrent(file: GeneratedFile): boolean {
  const target = path.join(root, file.path)
  return existsSync(target) && readFileSync(target, 'utf8') === file.text
}

function write(file: GeneratedFile): void {
  const target = path.join(root, file.path)
  mkdirSync(path.dirname(target), { recursive: true })
  writeFileSync(target, file.text)
}
