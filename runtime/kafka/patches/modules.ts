import { createRequire } from 'node:module'
import { sep } from 'node:path'
import { ConfigError } from '../../../platform/errors.ts'

/**
 * The door to the inside of kafkajs. A patch gets these two verbs and nothing else, so what it touches can be read off
 * its calls. kafkajs is CommonJS: a module that is put into the require cache before anybody asked for it is what
 * everybody gets.
 */
export interface KafkajsModules {
  /** The exports of kafkajs/src/`path`. */
  load<T>(path: string): T
  /** From now on kafkajs/src/`path` is `exports`; only for modules that nobody holds yet. */
  replace(path: string, exports: unknown): void
}

/** One defect of kafkajs 2.2.4 and its cure. */
export interface KafkajsPatch {
  readonly name: string
  apply(modules: KafkajsModules): void
}

/** The version whose source the patches were written against. Another one needs another look, not another number. */
export const PATCHED_VERSION = '2.2.4'

const require = createRequire(import.meta.url)
const root = require.resolve('kafkajs').slice(0, -'index.js'.length)
const fileOf = (path: string): string => require.resolve(`kafkajs/src/${path}`)

export const kafkajsModules: KafkajsModules = {
  load: <T>(path: string) => require(fileOf(path)) as T,
  replace: (path, exports) => {
    const file = fileOf(path)
    require.cache[file] = Object.assign(Object.create(null), { id: file, filename: file, loaded: true, exports })
  },
}

/** Cached kafkajs modules: none before the patches are applied, or somebody holds the unpatched ones. */
export const loadedKafkajsFiles = (): string[] =>
  Object.keys(require.cache).filter((file) => file.startsWith(root) && !file.startsWith(`${root}node_modules${sep}`))

/** Throws KAFKAJS_VERSION or KAFKAJS_LOADED_FIRST: an unpatched client loses and leaks records, so nothing starts. */
export const assertPatchable = (version = (require('kafkajs/package.json') as { version: string }).version): void => {
  if (version !== PATCHED_VERSION) {
    throw new ConfigError(
      'KAFKAJS_VERSION',
      `kafkajs ${version} is installed; the patches it cannot run without are for exactly ${PATCHED_VERSION}`,
      { facts: { version, expected: PATCHED_VERSION } },
    )
  }
  const loaded = loadedKafkajsFiles().filter((file) => file.endsWith('.js'))
  if (loaded.length > 0) {
    throw new ConfigError(
      'KAFKAJS_LOADED_FIRST',
      'kafkajs was imported before its patches; import it through runtime/kafka/client.ts only',
      { facts: { firstFile: loaded[0] } },
    )
  }
}
