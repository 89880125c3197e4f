import { createHash, randomUUID } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import path from 'node:path'
import { UpstreamError } from '../platform/errors.ts'
import { runToEnd } from './child.ts'

/**
 * The programs of the three Java servers: Kafka, the schema registry and the S3 server.
 *
 * They come from Maven Central by one call of pom.xml into a folder that all checkouts of this user share, because they
 * are 230 MB and never change: the folder is named after artifacts.sha256, so another version is another folder, and a
 * folder that exists was downloaded completely and checked. The download goes to a temporary name, every file is
 * compared with its SHA-256 (a missing or an additional file is an error too), and only then renamed into place; of two
 * checkouts that download at once, the second to finish throws its copy away.
 *
 * The path must not contain a space: the JVM silently ignores a class-data archive (jvm.ts) whose class path has one.
 */
export interface Artifacts {
  /** folder of jars, the broker's class path */
  readonly kafkaLib: string
  readonly registryJar: string
  readonly s3Jar: string
  /** where class-data archives may be kept: private to this version of the artifacts */
  readonly archiveDir: string
}

const SUMS = path.join(import.meta.dirname, 'artifacts.sha256')
const POM = path.join(import.meta.dirname, 'pom.xml')

/**
 * The artifacts, downloaded first when this machine has not got them.
 *
 * @param cacheDir folder shared by checkouts; '' = the user's own cache folder
 * @param signal stops a download
 * @param report called with one line per step of a download, never when everything is there
 * @throws UpstreamError ARTIFACTS_UNAVAILABLE (retryable) when Maven fails, ARTIFACTS_CORRUPT when a checksum differs
 */
export const prepareArtifacts = async (
  cacheDir: string,
  signal: AbortSignal,
  report: (line: string) => void,
): Promise<Artifacts> => {
  const sums = await readFile(SUMS, 'utf8')
  const root = artifactFolder(cacheDir, sums)
  if (!existsSync(root)) await download(root, parseChecksums(sums), { signal, report })
  return {
    kafkaLib: path.join(root, 'kafka'),
    registryJar: path.join(root, 'registry', (await readdir(path.join(root, 'registry'))).find(isRunner) ?? ''),
    s3Jar: path.join(root, 's3', (await readdir(path.join(root, 's3'))).find((name) => name.endsWith('.jar')) ?? ''),
    archiveDir: root,
  }
}

/** The folder of these artifacts. A home folder with a space in its name is avoided, see the essay above. */
export const artifactFolder = (cacheDir: string, sums: string, home: string = homedir()): string => {
  const own = path.join(home, '.cache', 'reelstream')
  const base = cacheDir || (/\s/.test(own) ? `/var/tmp/reelstream-cache-${process.getuid?.() ?? 0}` : own)
  return path.join(base, `servers-${createHash('sha256').update(sums).digest('hex').slice(0, 12)}`)
}

/** `sha256sum` lines as a map from relative path to hex digest. */
export const parseChecksums = (text: string): ReadonlyMap<string, string> =>
  new Map(
    text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => [line.slice(66), line.slice(0, 64)]),
  )

/**
 * Compares a folder with its checksums.
 * @returns one sentence per difference, empty when the folder holds exactly the listed files
 */
export const findDifferences = async (folder: string, sums: ReadonlyMap<string, string>): Promise<string[]> => {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const found = entries.filter((e) => e.isFile()).map((e) => path.relative(folder, path.join(e.parentPath, e.name)))
  const problems = found.filter((name) => !sums.has(name)).map((name) => `${name}: not listed`)
  for (const [name, expected] of sums) {
    const actual = found.includes(name) ? await sha256(path.join(folder, name)) : 'missing'
    if (actual !== expected) problems.push(`${name}: expected ${expected}, got ${actual}`)
  }
  return problems
}

const isRunner = (name: string): boolean => name.endsWith('-runner.jar')

interface Download {
  readonly signal: AbortSignal
  readonly report: (line: string) => void
}

const download = async (root: string, sums: ReadonlyMap<string, string>, { signal, report }: Download) => {
  const temporary = `${root}.${randomUUID()}.tmp`
  await mkdir(temporary, { recursive: true })
  try {
    report('downloading Kafka, schema registry and S3 server with Maven (about 240 MB, once per machine)')
    await fetchWithMaven(temporary, { signal, report })
    report(`comparing ${sums.size} SHA-256 checksums`)
    await verify(temporary, sums)
    await unpackRegistry(temporary)
    await renameUnlessThere(temporary, root)
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}

const fetchWithMaven = async (folder: string, { signal, report }: Download) => {
  let files = 0
  const onLine = (line: string) => {
    const jar = /Downloaded from .*\/([^/]+\.(?:jar|tar\.gz)) \((\S+ \S+) at/.exec(line)
    if (jar) report(`downloaded ${++files} files, the last ${jar[1]} (${jar[2]})`)
  }
  try {
    await runToEnd('mvn', ['-B', '-f', POM, `-Dout=${folder}`, 'process-resources'], { onLine, signal })
  } catch (error) {
    throw new UpstreamError(
      'ARTIFACTS_UNAVAILABLE',
      `Maven could not download the local servers. Check the network and the mirror settings of ~/.m2/settings.xml, or use docker compose up. ${(error as Error).message}`,
      { cause: error },
    )
  }
}

const verify = async (folder: string, sums: ReadonlyMap<string, string>) => {
  const problems = await findDifferences(folder, sums)
  if (problems.length === 0) return
  throw new UpstreamError(
    'ARTIFACTS_CORRUPT',
    `Downloaded files that are not the ones local/artifacts.sha256 lists; nothing was kept.\n${problems.join('\n')}`,
    { retryable: false },
  )
}

const unpackRegistry = async (folder: string) => {
  const registry = path.join(folder, 'registry')
  for (const archive of await readdir(registry)) {
    await runToEnd('tar', ['xzf', path.join(registry, archive), '-C', registry])
    await rm(path.join(registry, archive))
  }
}

const renameUnlessThere = async (from: string, to: string) => {
  try {
    await rename(from, to)
  } catch (error) {
    if (!existsSync(to)) throw error
  }
}

const sha256 = async (file: string): Promise<string> => {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer)
  return hash.digest('hex')
}
