import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { prepareArtifacts } from '../../local/artifacts.ts'
import { runToEnd } from '../../local/child.ts'
import { javaEnvironment } from '../../local/jvm.ts'
import type { Config } from '../../platform/config.ts'
import { javaSchemas } from './fold.ts'

/**
 * The Java side: Kafka Streams with the same fold, and a consumer that reads back what both have written. Compiled from
 * java/ against artifacts from Maven Central into the folder of downloaded servers, anew when a source has changed.
 */
export interface Java {
  /** Starts a program; its output goes to ours. */
  start(program: string, flags: readonly string[], args: readonly string[]): ChildProcess
  /** Runs a program to its end; what it printed. @throws UpstreamError CHILD_FAILED */
  run(program: string, args: readonly string[]): Promise<string>
  /** The schemas of the fold, one a line. */
  readonly schemaFile: string
}

const SOURCES = path.join(import.meta.dirname, 'java')

export const buildJava = async ({ cacheDir }: Config): Promise<Java> => {
  const { archiveDir } = await prepareArtifacts(cacheDir, new AbortController().signal, console.log)
  const files = (await readdir(SOURCES)).sort()
  const texts = await Promise.all(files.map((file) => readFile(path.join(SOURCES, file), 'utf8')))
  const hash = createHash('sha256').update(texts.join('')).update(javaSchemas()).digest('hex').slice(0, 12)
  const root = path.join(path.dirname(archiveDir), `bench-engine-${hash}`)
  if (!existsSync(root)) await build(root, files)
  const classPath = [path.join(root, 'classes'), path.join(root, 'lib', '*')].join(path.delimiter)
  return {
    schemaFile: path.join(root, 'schemas.txt'),
    start: (program, flags, args) =>
      spawn('java', [...flags, '-cp', classPath, program, ...args], {
        stdio: ['ignore', 'inherit', 'inherit'],
        env: javaEnvironment(),
      }),
    run: (program, args) => runToEnd('java', ['-cp', classPath, program, ...args]),
  }
}

const build = async (root: string, files: readonly string[]): Promise<void> => {
  const unfinished = `${root}.new`
  await rm(unfinished, { recursive: true, force: true })
  await mkdir(path.join(unfinished, 'classes'), { recursive: true })
  console.log('building the Java side (Kafka Streams from Maven Central, once)')
  const libraries = path.join(unfinished, 'lib')
  await runToEnd('mvn', ['-B', '-q', '-f', path.join(SOURCES, 'pom.xml'), `-Dout=${libraries}`, 'process-resources'])
  const sources = files.filter((file) => file.endsWith('.java')).map((file) => path.join(SOURCES, file))
  await runToEnd('javac', ['-cp', `${libraries}/*`, '-d', path.join(unfinished, 'classes'), ...sources])
  await writeFile(path.join(unfinished, 'schemas.txt'), javaSchemas())
  await rename(unfinished, root)
}
