import { existsSync } from 'node:fs'
import path from 'node:path'
import { installPackages, NODE } from './bootstrap/packages.mjs'
import { requirePrerequisites } from './bootstrap/prerequisites.mjs'
import { generatePrismaClient } from './bootstrap/prisma-client.mjs'
import { becomeProgram, run } from './bootstrap/program.mjs'

/**
 * What runs before anything is installed: `npm start`, `npm test`, `npm run reset` and `npm run reelstream` begin here.
 *
 * It is plain JavaScript without dependencies, because on a fresh clone there is no node_modules, and because the
 * machine's own Node may be 20, which cannot run our TypeScript. It installs what is missing (npm packages from the
 * lockfile, the Prisma client, system programs where it may), then runs the real program under the Node 24 that is one
 * of the packages, and passes signals on to it and its exit code back. When nothing is missing that costs a few file
 * reads.
 */
const PROGRAMS_OF_START = ['java', 'maven', 'ffmpeg', 'ffprobe']

const COMMANDS = {
  /** everything that `test` needs, without running anything: for the gate and for container images */
  install: { client: true, needs: [...PROGRAMS_OF_START, 'chromium'] },
  start: { program: 'local/main.ts', client: true, needs: PROGRAMS_OF_START, flags: ['--max-semi-space-size=2'] },
  test: { program: 'scripts/test.ts', client: true, needs: [...PROGRAMS_OF_START, 'chromium'] },
  reset: { program: 'local/reset.ts', client: false, needs: [] },
  cli: { program: 'cli/main.ts', client: true, needs: [] },
}

const ROOT = path.resolve(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), '..')

/** Where Node keeps what it has compiled of us: everything starts sooner and is smaller (local/first-run.ts). */
const COMPILE_CACHE = path.join(ROOT, 'node_modules', '.cache', 'compiled')

const main = async () => {
  const [name, ...args] = process.argv.slice(2)
  const command = Object.hasOwn(COMMANDS, name ?? '') ? COMMANDS[name] : undefined
  if (!command) throw new Error(`expected one of ${Object.keys(COMMANDS).join(', ')}, got "${name ?? ''}"`)
  requirePlatform()
  await requirePrerequisites(ROOT, command.needs)
  await installPackages(ROOT)
  if (command.client) await generatePrismaClient(ROOT)
  if (command.program === undefined) return 0
  const node = path.join(ROOT, NODE)
  const program = [...(command.flags ?? []), path.join(ROOT, command.program)]
  const options = { cwd: ROOT, env: { NODE_COMPILE_CACHE: COMPILE_CACHE } }
  // A process that compiles itself is the larger for it as long as it lives, so the one that stays is not the first.
  if (name === 'start' && !existsSync(COMPILE_CACHE))
    await run(node, [...program, '--help'], { ...options, quiet: true })
  return becomeProgram(node, [...program, ...(name === 'start' ? args.map(fromCaller) : args)], options)
}

/** npm runs us in the checkout's root; a file that the person named is relative to where they are. */
const fromCaller = (arg) => (arg.startsWith('-') ? arg : path.resolve(process.env.INIT_CWD ?? process.cwd(), arg))

const requirePlatform = () => {
  if (Number(process.versions.node.split('.')[0]) < 20)
    throw new Error(`expected Node 20 or newer, got ${process.version}`)
  if (process.platform === 'linux' && process.arch === 'x64') return
  throw new Error(
    `npm start runs on Linux x86-64, this is ${process.platform} ${process.arch}. Use the containers: docker compose up`,
  )
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
