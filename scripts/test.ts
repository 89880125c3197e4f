import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { glob } from 'node:fs/promises'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { onStopSignal } from '../local/stop-signal.ts'
import { childEnvironment } from '../platform/config.ts'
import { BadInputError, describeError } from '../platform/errors.ts'
import { createTapReport, sumTotals, type Totals } from './testing/tap-report.ts'
import { startTestStack, type TestStack } from './testing/test-stack.ts'

/**
 * `npm test [-- unit|integration|chaos|e2e] [files…]`: the whole proof, or a part of it.
 *
 * Unit tests run first and need nothing. Then the real servers are started once, on free ports with data of their own,
 * and the tests that need them run two files at a time, finding them by the environment; nothing is migrated beforehand,
 * each test makes the topics, tables and keys it uses, under names of its own. Chaos tests start a cluster of their own
 * and break it, end-to-end tests a product. Ends with a line `N passed, N failed`; the exit code is 1 when anything failed
 * or nothing ran.
 */
const ROOT = path.resolve(import.meta.dirname, '..')
const TAP = path.join(ROOT, 'node_modules', 'tap', 'dist', 'esm', 'run.mjs')

interface Suite {
  readonly name: string
  readonly title: string
  readonly needsServers: boolean
  readonly options: readonly string[]
  includes(file: string): boolean
}

const isIntegration = (file: string) => file.endsWith('.int.test.ts')
const isEndToEnd = (file: string) => file.startsWith('test/e2e/')
const isChaos = (file: string) => /^test\/(chaos|ingest-faults)\//.test(file)

const SUITES: readonly Suite[] = [
  {
    name: 'unit',
    title: 'Unit tests',
    needsServers: false,
    options: ['--timeout=300'],
    includes: (file) => !isIntegration(file) && !isEndToEnd(file) && !isChaos(file),
  },
  {
    name: 'integration',
    title: 'Integration tests, on real servers',
    needsServers: true,
    options: ['--timeout=300', '--jobs=2'],
    includes: (file) => isIntegration(file) && !isEndToEnd(file) && !isChaos(file),
  },
  {
    name: 'chaos',
    title: 'Chaos, each on a cluster of its own',
    needsServers: false,
    options: ['--timeout=300', '--jobs=1'],
    includes: isChaos,
  },
  {
    name: 'e2e',
    title: 'End-to-end tests, each on a product of its own',
    needsServers: false,
    options: ['--timeout=600', '--jobs=1'],
    includes: isEndToEnd,
  },
]

const main = async (args: readonly string[]): Promise<number> => {
  const chosen = SUITES.filter(({ name }) => args[0] === name)
  const suites = chosen.length > 0 ? chosen : SUITES
  const named = (chosen.length > 0 ? args.slice(1) : args).map((file) => path.relative(ROOT, path.resolve(file)))
  requireFiles(named)
  const stopping = new AbortController()
  void onStopSignal({ first: () => stopping.abort(), again: () => process.exit(130) })

  const totals: Totals[] = []
  let stack: TestStack | undefined
  try {
    for (const suite of suites) {
      const files = (named.length > 0 ? named : await testFiles()).filter(suite.includes)
      if (files.length === 0 || stopping.signal.aborted) continue
      console.log(`\n${suite.title} (${files.length} files)`)
      if (suite.needsServers) stack ??= await startServers()
      else if (stack !== undefined) {
        // Two cores: what is not needed any more must not run beside what is measured next.
        await stopServers(stack, sumTotals(totals).failed > 0)
        stack = undefined
      }
      totals.push(await runTap(files, suite, stack, stopping.signal))
    }
  } catch (error) {
    console.error(describeError(error))
    totals.push({ passed: 0, failed: 1 })
  }
  const { passed, failed } = sumTotals(totals)
  await stopServers(stack, failed > 0)
  console.log(`\n${passed} passed, ${failed} failed`)
  return failed === 0 && passed > 0 && !stopping.signal.aborted ? 0 : 1
}

/** tap passes over a file that is not there in silence, which would look like a passing test. */
const requireFiles = (files: readonly string[]) => {
  const missing = files.filter((file) => !existsSync(path.join(ROOT, file)))
  if (missing.length > 0) throw new BadInputError('FILE_NOT_FOUND', `there are no tests ${missing.join(', ')}`)
}

const startServers = async (): Promise<TestStack> => {
  const startedAtMs = Date.now()
  const stack = await startTestStack()
  console.log(
    `Kafka, schema registry, S3 and PostgreSQL are up after ${((Date.now() - startedAtMs) / 1000).toFixed(1)} s`,
  )
  return stack
}

const stopServers = async (stack: TestStack | undefined, failed: boolean) => {
  if (failed && stack) console.log(`Server logs: ${path.join(stack.dataDir, 'logs')}`)
  await stack?.stop({ keepLogs: failed })
}

const testFiles = async (): Promise<string[]> => {
  const isForeign = (folder: string) => /(^|\/)(node_modules|\.[^/]+)$/.test(folder)
  const files: string[] = []
  for await (const file of glob('**/*.test.ts', { cwd: ROOT, exclude: isForeign })) files.push(file)
  return files.sort()
}

const runTap = async (
  files: readonly string[],
  suite: Suite,
  stack: TestStack | undefined,
  signal: AbortSignal,
): Promise<Totals> => {
  const tap = spawn(
    process.execPath,
    [TAP, 'run', '--reporter=tap', '--disable-coverage', ...suite.options, ...files],
    {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'inherit'],
      env: childEnvironment(suite.needsServers && stack ? stack.env : {}),
      signal,
    },
  )
  const ended = new Promise<number | null>((resolve) => {
    tap.once('error', () => resolve(null))
    tap.once('exit', resolve)
  })
  const report = createTapReport(console.log)
  for await (const line of createInterface({ input: tap.stdout })) report.line(line)
  const code = await ended
  const totals = report.totals()
  // A file that leaves without a word, or a timeout, fails the run without failing a test.
  return code !== 0 && totals.failed === 0 ? { ...totals, failed: 1 } : totals
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  console.error(describeError(error))
  process.exitCode = 1
}
