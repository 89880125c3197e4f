import type { Processor } from '../runtime/processor.ts'
import { from } from '../runtime/processor.ts'
import { defineTopology, type Topology } from '../runtime/topology.ts'
import { transcodePool, videoEvents, videoIntake } from '../schemas/topics.ts'
import type { AdmissionSettings } from './admit-events/decide.ts'
import { admitEvents } from './admit-events/processor.ts'
import { assembleRenditions } from './assemble-renditions/processor.ts'
import { finishUpload } from './finish-upload/processor.ts'
import { type PlanSettings, planRenditions } from './plan-renditions/processor.ts'
import { probeSource } from './probe-source/processor.ts'
import { publishPlaylist } from './publish-playlist/processor.ts'
import { scheduleTranscodes } from './schedule-transcodes/processor.ts'
import { transcodeSource, type WorkerSettings } from './transcode-source/processor.ts'

/**
 * The processors of the product, in the order in which a video meets them: one line each. Folder = name = consumer group
 * = prefix of its changelog. Settings that decide something are arguments, so that a test can choose them.
 */
export interface ProductSettings {
  readonly admission: AdmissionSettings
  readonly plan: PlanSettings
  readonly worker: WorkerSettings
}

/** Those that only think, and those whose effects are short: the role `processors`. */
export const thinkingProcessors = ({ admission, plan }: ProductSettings): readonly Processor[] => [
  admitEvents(admission),
  finishUpload,
  probeSource,
  planRenditions(plan),
  scheduleTranscodes,
  assembleRenditions,
  publishPlaylist,
]

/** The role `workers`: FFmpeg runs here. */
export const workerProcessors = ({ worker }: ProductSettings): readonly Processor[] => [transcodeSource(worker)]

/** Checked as a whole. Producers write the claims, operators hold releases; projections read every fact. */
export const productTopology = (settings: ProductSettings): Topology =>
  defineTopology([...thinkingProcessors(settings), ...workerProcessors(settings)], {
    external: [from(videoIntake, allEvents(videoIntake.events)), from(transcodePool, ['ReleasesHeld'])],
    observed: [from(videoEvents, allEvents(videoEvents.events))],
  })

const allEvents = <Events extends object>(events: Events): readonly (keyof Events & string)[] =>
  Object.keys(events) as (keyof Events & string)[]
