import { createHash, randomUUID } from 'node:crypto'
import { glob, readFile, rename, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'

/**
 * What a build has read, as `manifest.json` beside what it made: whoever finds every file unchanged need not build.
 */
const WEB = import.meta.dirname
const ROOT = path.dirname(WEB)
const MANIFEST = 'manifest.json'

interface Manifest {
  /** Every file that the build read, relative to the root of the tree, as it was. */
  readonly inputs: Readonly<Record<string, string>>
  /** The files in web/ by name: a new one may change what an import means. */
  readonly names: string
}

/** Written last and whole: a build that died half way is no build. @param inputs relative to the root of the tree */
export const writeManifest = async (outDir: string, inputs: readonly string[]): Promise<void> => {
  const stamps = await Promise.all(inputs.map(async (input) => [input, await stampOf(input)] as const))
  const manifest: Manifest = { inputs: Object.fromEntries(stamps), names: await sourceNames() }
  await replaceFile(path.join(outDir, MANIFEST), JSON.stringify(manifest, null, 1))
}

export const isUpToDate = async (outDir: string): Promise<boolean> => {
  const manifest = await readManifest(outDir)
  if (manifest === undefined || manifest.names !== (await sourceNames())) return false
  const inputs = Object.entries(manifest.inputs)
  const same = await Promise.all(inputs.map(async ([input, stamp]) => (await stampOf(input)) === stamp))
  return same.every(Boolean)
}

const readManifest = async (outDir: string): Promise<Manifest | undefined> => {
  try {
    return JSON.parse(await readFile(path.join(outDir, MANIFEST), 'utf8')) as Manifest
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Size and time are enough to notice an edit, and need no reading. '' for a file that is gone. */
const stampOf = async (input: string): Promise<string> => {
  try {
    const { size, mtimeMs } = await stat(path.join(ROOT, input))
    return `${size} ${mtimeMs}`
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}

const sourceNames = async (): Promise<string> => {
  const names: string[] = []
  for await (const name of glob('**/*', { cwd: WEB, exclude: ['dist'] })) names.push(name)
  return createHash('sha256').update(names.sort().join('\n')).digest('hex')
}

/** A file appears whole or not at all, whoever else writes it at the same time. */
export const replaceFile = async (file: string, bytes: Uint8Array | string): Promise<void> => {
  const partial = `${file}.${randomUUID()}.tmp`
  await writeFile(partial, bytes)
  await rename(partial, file)
}
