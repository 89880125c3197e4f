import { hostname } from 'node:os'
import type { Ladder } from '../media/ladder.ts'
import { ladderHash } from '../media/ladder.ts'
import type { Config } from '../platform/config.ts'
import type { ProductSettings } from './index.ts'

/** From the configuration of a process to what its processors decide with. */
export const productSettings = (config: Config, ladder: Ladder, toolchain: string): ProductSettings => ({
  admission: { mediaBucket: config.s3Bucket, importSources: config.importSources },
  plan: { ladder, ladderHash: ladderHash(ladder), toolchain },
  worker: {
    workerId: instanceIdOf(config),
    videoSlots: config.workerSlots,
    // Sound and thumbnails are light, and must not wait behind the pictures of another video.
    lightSlots: config.workerSlots,
  },
})

/** Unique per process: a process that died and its successor are two members of a group. */
export const instanceIdOf = (config: Config): string =>
  config.instanceId === '' ? `${hostname()}-${process.pid}` : config.instanceId
