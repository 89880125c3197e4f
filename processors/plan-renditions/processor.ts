import type { Ladder } from '../../media/ladder.ts'
import { planRenditions as planFor } from '../../media/plan.ts'
import { type Context, defineProcessor, from, type Processor, to } from '../../runtime/processor.ts'
import {
  type SourceProbed,
  SourceRefSchema,
  type TranscodePlanned,
  TranscodePlanSchema,
} from '../../schemas/generated.ts'
import { DEFAULT_POOL, transcodePool, videoEvents } from '../../schemas/topics.ts'
import { PlannedVideoSchema } from './generated.ts'
import { encodingJobs, smallestPicture, thumbnailsJob } from './jobs.ts'

/**
 * Decides what is made of a source, and asks the pool for it. The plan (sizes, frame rate, colours, chunk grid) is pure:
 * media/plan.ts computes it from what probing found and the ladder, and TranscodePlanned writes it down, so that nobody
 * behind it decides anything again. Thumbnails are asked for when the whole video is published, because they are taken
 * from its smallest rendition.
 *
 * First wins per generation: a plan that was made is never made again, whatever the ladder says by then.
 */
export interface PlanSettings {
  readonly ladder: Ladder
  readonly ladderHash: string
  /** Encoder and version that the segments will depend on. */
  readonly toolchain: string
}

/** Jobs of one record: 100 of them take about 250 KB, well below the limit of a record. */
const JOBS_PER_RECORD = 100
const FIRST_GENERATION = 1

const writes = [to(videoEvents, ['TranscodePlanned']), to(transcodePool, ['JobsRequested', 'JobsCancelled'])] as const

const state = { source: SourceRefSchema, plan: TranscodePlanSchema, planned: PlannedVideoSchema }

type Ctx = Context<typeof writes, typeof state, Record<never, never>, never>

export const planRenditions = (settings: PlanSettings): Processor =>
  defineProcessor(
    {
      name: 'plan-renditions',
      reads: [from(videoEvents, ['UploadCompleted', 'SourceProbed', 'TranscodePlanned', 'PlaylistPublished'])],
      writes,
      state,
      closedBy: [from(videoEvents, ['VideoDeleted'])],
    },
    {
      on: {
        'video-events': {
          UploadCompleted: (ctx, { bucket, objectKey, etag, sizeBytes }) => {
            if (ctx.state.source.get() === undefined) ctx.state.source.put({ bucket, objectKey, etag, sizeBytes })
          },
          SourceProbed: (ctx, probed) => plan(ctx, probed, settings),
          TranscodePlanned: (ctx, planned) => fold(ctx, planned),
          PlaylistPublished: (ctx, { generation, complete, renditions }) => {
            const picture = smallestPicture(renditions)
            if (complete && picture !== undefined) requestThumbnails(ctx, generation, picture.playlistKey)
          },
        },
      },
      closing: {
        'video-events': {
          VideoDeleted: (ctx) => {
            if (ctx.state.planned.get() === undefined) return
            ctx.emit.JobsCancelled({ videoId: ctx.key }, { key: DEFAULT_POOL })
          },
        },
      },
    },
  )

const plan = (ctx: Ctx, probed: SourceProbed, { ladder, ladderHash, toolchain }: PlanSettings): void => {
  const source = ctx.state.source.get()
  if (source === undefined || source.etag !== probed.etag || ctx.state.planned.get() !== undefined) return
  const planned = { generation: FIRST_GENERATION, ladderHash, toolchain, source, plan: planFor(probed.source, ladder) }
  ctx.emit.TranscodePlanned(planned)
  const jobs = encodingJobs({ videoId: ctx.key, ...planned })
  for (let first = 0; first < jobs.length; first += JOBS_PER_RECORD) {
    ctx.emit.JobsRequested({ jobs: jobs.slice(first, first + JOBS_PER_RECORD) }, { key: DEFAULT_POOL })
  }
  fold(ctx, planned)
}

/** The plan is kept, without its chunks, until its thumbnails are asked for. */
const fold = (ctx: Ctx, { generation, plan }: TranscodePlanned): void => {
  const before = ctx.state.planned.get() ?? { generation: 0, thumbnailsOf: 0 }
  if (generation <= before.generation) return
  ctx.state.planned.put({ ...before, generation })
  ctx.state.plan.put({ ...plan, chunks: [] }, String(generation))
}

const requestThumbnails = (ctx: Ctx, generation: number, playlistKey: string): void => {
  const source = ctx.state.source.get()
  const plan = ctx.state.plan.get(String(generation))
  const planned = ctx.state.planned.get()
  if (source === undefined || plan === undefined || planned === undefined) return
  const job = thumbnailsJob({ videoId: ctx.key, generation, source, plan }, playlistKey)
  ctx.emit.JobsRequested({ jobs: [job] }, { key: DEFAULT_POOL })
  ctx.state.planned.put({ ...planned, thumbnailsOf: generation })
  ctx.state.plan.delete(String(generation))
}
