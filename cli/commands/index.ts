import type { Command } from 'commander'
import type { Config } from '../../platform/config.ts'
import { registerBlocked } from './blocked.ts'
import { registerDlq } from './dlq.ts'
import { registerImport } from './import.ts'
import { registerLanes } from './lanes.ts'
import { registerProcessors } from './processors.ts'
import { registerRebuild } from './rebuild.ts'
import { registerReconcile } from './reconcile.ts'
import { registerUpload } from './upload.ts'
import { registerUploads } from './uploads.ts'

/** Adds one command to the program. Its file is named like it. */
export type RegisterCommand = (program: Command, config: Config) => void

/** Every command of `reelstream`, in the order of --help. */
export const commands: readonly RegisterCommand[] = [
  registerUpload,
  registerUploads,
  registerImport,
  registerRebuild,
  registerReconcile,
  registerProcessors,
  registerLanes,
  registerBlocked,
  registerDlq,
]
