import { type Context, defineProcessor, from, to } from '../../runtime/processor.ts'
import { type SegmentsTranscoded, TranscodePlanSchema } from '../../schemas/generated.ts'
import { videoEvents } from '../../schemas/topics.ts'
import { AssembledTrackSchema, MarkerSchema, MeasuredSegmentSchema } from './generated.ts'
import { measureTrack } from './measure.ts'

/**
 * Says when a rendition is whole. Segments and chunks come from many jobs, in any order and, after a worker died, more
 * than once; a track is complete when every chunk of its plan is, and then each of its renditions is announced with
 * measured figures.
 *
 * The first report of a segment index counts, as it does for the playlists: both speak of the same objects. What was
 * measured is dropped with the announcement; the markers that remain make repetitions harmless.
 */
const writes = [to(videoEvents, ['RenditionTranscoded'])] as const

const state = {
  plan: TranscodePlanSchema,
  track: AssembledTrackSchema,
  segment: MeasuredSegmentSchema,
  chunk: MarkerSchema,
  announced: MarkerSchema,
}

type Ctx = Context<typeof writes, typeof state, Record<never, never>, never>

export const assembleRenditions = defineProcessor(
  {
    name: 'assemble-renditions',
    reads: [from(videoEvents, ['TranscodePlanned', 'SegmentsTranscoded', 'ChunkTranscoded', 'RenditionTranscoded'])],
    writes,
    state,
    closedBy: [from(videoEvents, ['VideoDeleted'])],
  },
  {
    on: {
      'video-events': {
        TranscodePlanned: (ctx, { generation, plan }) => {
          const id = String(generation)
          if (ctx.state.plan.get(id) !== undefined) return
          ctx.state.plan.put({ ...plan, chunks: [] }, id)
          putTrack(ctx, `${id}/video`, plan.chunks.length)
          for (const { track } of plan.audio) putTrack(ctx, `${id}/${track}`, 1)
        },
        SegmentsTranscoded: (ctx, event) => {
          if (isGrowing(ctx, `${event.generation}/${event.track}`)) addSegments(ctx, event)
        },
        ChunkTranscoded: (ctx, { generation, track, chunkIndex }) => {
          const id = `${generation}/${track}`
          const chunkId = `${id}/${chunkIndex}`
          const before = ctx.state.track.get(id)
          if (before === undefined || ctx.state.chunk.get(chunkId) !== undefined) return
          ctx.state.chunk.put({ atMs: ctx.cause.timestampMs }, chunkId)
          ctx.state.track.put({ ...before, chunksDone: before.chunksDone + 1 }, id)
          if (before.chunksDone + 1 === before.chunksPlanned) announce(ctx, generation, track)
        },
        RenditionTranscoded: (ctx, { generation, track, rendition }) => {
          ctx.state.announced.put({ atMs: ctx.cause.timestampMs }, `${generation}/${track}/${rendition}`)
        },
      },
    },
  },
)

const putTrack = (ctx: Ctx, id: string, chunksPlanned: number): void =>
  ctx.state.track.put({ chunksPlanned, chunksDone: 0 }, id)

const isGrowing = (ctx: Ctx, trackId: string): boolean => {
  const track = ctx.state.track.get(trackId)
  return track !== undefined && track.chunksDone < track.chunksPlanned
}

const addSegments = (ctx: Ctx, { generation, track, firstIndex, renditions }: SegmentsTranscoded): void => {
  const count = Math.max(...renditions.map(({ segments }) => segments.length), 0)
  for (let n = 0; n < count; n++) {
    const id = `${generation}/${track}/${String(firstIndex + n).padStart(6, '0')}`
    if (ctx.state.segment.get(id) !== undefined) continue
    const measures = renditions.flatMap(({ rendition, init: { codecs, timescale }, segments }) =>
      segments.slice(n, n + 1).map(({ sizeBytes, durationTicks }) => ({
        rendition,
        codecs,
        timescale,
        sizeBytes,
        durationTicks,
      })),
    )
    ctx.state.segment.put({ renditions: measures }, id)
  }
}

const announce = (ctx: Ctx, generation: number, track: string): void => {
  const plan = ctx.state.plan.get(String(generation))
  if (plan === undefined) return
  const segments = ctx.state.segment.entries(`${generation}/${track}/`)
  const measured = measureTrack(
    { generation, track, plan },
    segments.map(([, segment]) => segment),
  )
  for (const rendition of measured) {
    const id = `${generation}/${track}/${rendition.rendition}`
    if (ctx.state.announced.get(id) !== undefined) continue
    ctx.emit.RenditionTranscoded(rendition)
    ctx.state.announced.put({ atMs: ctx.cause.timestampMs }, id)
  }
  for (const [id] of segments) ctx.state.segment.delete(id)
}
