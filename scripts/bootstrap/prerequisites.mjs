import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, statSync } from 'node:fs'
import path from 'node:path'
import { run } from './program.mjs'

/**
 * The system programs that npm cannot bring. Missing ones are installed when that is possible without asking (root on
 * Debian or Ubuntu); otherwise all of them are named in one message, each with its command.
 */
const TOOLS = {
  java: { what: 'Java 17 or newer', package: 'openjdk-17-jre-headless', isThere: () => javaVersion() >= 17 },
  maven: { what: 'Maven', package: 'maven', isThere: () => isOnPath('mvn') },
  ffmpeg: { what: 'ffmpeg', package: 'ffmpeg', isThere: () => isOnPath(process.env.FFMPEG_PATH || 'ffmpeg') },
  ffprobe: { what: 'ffprobe', package: 'ffmpeg', isThere: () => isOnPath(process.env.FFPROBE_PATH || 'ffprobe') },
  chromium: {
    what: 'Chromium, for the browser tests',
    package: 'chromium',
    isThere: () => ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'].some(isOnPath),
  },
}

export const requirePrerequisites = async (root, names) => {
  let missing = findMissing(names)
  if (missing.length > 0 && canInstall()) {
    await install(root, missing)
    missing = findMissing(names)
  }
  if (missing.length > 0) throw new Error(missingMessage(missing))
}

/** One message for everything: nobody should have to come back for the second one. */
export const missingMessage = (missing) =>
  [
    missing.length === 1 ? 'One program is missing:' : `${missing.length} programs are missing:`,
    ...missing.map((tool) => `  ${tool.what.padEnd(34)} sudo apt-get install ${tool.package}`),
    'All at once, on Debian and Ubuntu:',
    `  sudo apt-get update && sudo apt-get install -y ${packagesOf(missing).join(' ')}`,
    'Or run everything in containers instead:',
    '  docker compose up',
  ].join('\n')

const findMissing = (names) =>
  names.filter((name) => !isUnneeded(name) && !TOOLS[name].isThere()).map((name) => TOOLS[name])

/** Java runs the local servers; whoever brings all three from elsewhere needs neither it nor Maven. */
const isUnneeded = (name) =>
  (name === 'java' || name === 'maven') &&
  ['KAFKA_BROKERS', 'SCHEMA_REGISTRY_URL', 'S3_ENDPOINT'].every((setting) => process.env[setting])

const canInstall = () => process.getuid() === 0 && existsSync('/etc/debian_version') && isOnPath('apt-get')

const install = async (root, missing) => {
  const packages = packagesOf(missing)
  console.log(`Installing with apt-get: ${packages.join(', ')}`)
  const options = { cwd: root, env: { DEBIAN_FRONTEND: 'noninteractive' } }
  await run('apt-get', ['update', '-q'], options)
  await run('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...packages], options)
}

const packagesOf = (tools) => [...new Set(tools.map((tool) => tool.package))]

const isOnPath = (program) => findOnPath(program) !== undefined

const findOnPath = (program) => {
  const folders = program.includes('/') ? [''] : (process.env.PATH ?? '').split(':')
  return folders.map((folder) => path.join(folder, program)).find(isExecutable)
}

const isExecutable = (file) => {
  try {
    accessSync(file, constants.X_OK)
    return statSync(file).isFile()
  } catch {
    return false
  }
}

/** The major version of the Java on the PATH, 0 when there is none. Says `version "17.0.15"`, or `"1.8.0"` for Java 8. */
const javaVersion = () => {
  if (!isOnPath('java')) return 0
  const { stderr } = spawnSync('java', ['-version'], { encoding: 'utf8' })
  const [, first, second] = /version "(\d+)(?:\.(\d+))?/.exec(stderr) ?? []
  return first === '1' ? Number(second) : Number(first ?? 0)
}
