import type { Command } from 'commander'
import type { Config } from '../../platform/config.ts'

/** Adds one command to the program. Its file is named like it. */
export type RegisterCommand = (program: Command, config: Config) => void

/**
 * Every command of `reelstream`, in the order of --help. Loaded when it is asked for: most of what an upload would wait
 * for is what only the others need.
 */
const commands: Readonly<Record<string, () => Promise<RegisterCommand>>> = {
  upload: async () => (await import('./upload.ts')).registerUpload,
  uploads: async () => (await import('./uploads.ts')).registerUploads,
  import: async () => (await import('./import.ts')).registerImport,
  rebuild: async () => (await import('./rebuild.ts')).registerRebuild,
  reconcile: async () => (await import('./reconcile.ts')).registerReconcile,
  processors: async () => (await import('./processors.ts')).registerProcessors,
  lanes: async () => (await import('./lanes.ts')).registerLanes,
  blocked: async () => (await import('./blocked.ts')).registerBlocked,
  dlq: async () => (await import('./dlq.ts')).registerDlq,
}

/** The command that the arguments begin with; all of them when they begin with something else (--help, a typing error). */
export const commandsFor = (args: readonly string[]): Promise<readonly RegisterCommand[]> => {
  const named = Object.entries(commands).filter(([name]) => name === args[0])
  return Promise.all((named.length > 0 ? named : Object.entries(commands)).map(([, load]) => load()))
}
