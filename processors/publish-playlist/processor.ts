import { effect, exponential } from '../../runtime/effect-policy.ts'
import { defineProcessor, from, type StateOf, to } from '../../runtime/processor.ts'
import type { PlaylistPublished, SegmentsTranscoded } from '../../schemas/generated.ts'
import { videoEvents } from '../../schemas/topics.ts'
import { decidePublication, NOT_PUBLISHED, tracksOf } from './decide.ts'
import * as g from './generated.ts'

/**
 * Writes the playlists of a video: growing ones while it is transcoded, so that it plays before it is finished, and the
 * final ones with exact figures. Each revision has keys of its own that are never written again; which revision players
 * get is a fact (PlaylistPublished, GenerationSelected), so a late write can never put an older one over a newer one.
 *
 * What was published is folded from the own facts, not from the outcome: a task that lost its changelog learns it again.
 * Superseded revisions stay where they are until the reconciler sweeps them.
 */
const FIRST_GENERATION = 1

const state = {
  plan: g.PlanStateSchema,
  segment: g.SegmentStateSchema,
  track: g.TrackStateSchema,
  rendition: g.RenditionStateSchema,
  progress: g.ProgressSchema,
}

export const publishPlaylist = defineProcessor(
  {
    name: 'publish-playlist',
    reads: [
      from(videoEvents, [
        'TranscodePlanned',
        'SegmentsTranscoded',
        'RenditionTranscoded',
        'PlaylistPublished',
        'TranscodeFailed',
      ]),
    ],
    writes: [to(videoEvents, ['PlaylistPublished', 'GenerationSelected', 'TranscodeFailed'])],
    state,
    effects: {
      publish: effect({
        input: g.PublishInputSchema,
        outcome: g.PublishOutcomeSchema,
        reads: ['plan', 'segment', 'rendition'],
        concurrency: 8,
        // Everything is encoded by now: a store that is away for hours must not cost the video.
        attempts: 100,
        backoffMs: exponential(1_000, 5 * 60_000),
      }),
    },
    confirmedBy: { publish: [from(videoEvents, ['PlaylistPublished'])] },
    timers: ['grow'],
    closedBy: [from(videoEvents, ['VideoDeleted'])],
  },
  {
    on: {
      'video-events': {
        TranscodePlanned: (ctx, { generation, plan }) => {
          const id = String(generation)
          if (isOver(ctx.state, generation) || ctx.state.plan.get(id) !== undefined) return
          ctx.state.plan.put({ plan }, id)
        },
        SegmentsTranscoded: (ctx, event) => {
          if (isOver(ctx.state, event.generation)) return
          addSegments(ctx.state, event)
          considerPublication(ctx, event.generation)
        },
        RenditionTranscoded: (ctx, { generation, track, rendition, peakBandwidthBps, averageBandwidthBps }) => {
          if (isOver(ctx.state, generation)) return
          ctx.state.rendition.put({ peakBandwidthBps, averageBandwidthBps }, `${generation}/${track}/${rendition}`)
          considerPublication(ctx, generation)
        },
        PlaylistPublished: (ctx, event) => {
          if (isOver(ctx.state, event.generation)) return
          foldPublished(ctx.state, event, ctx.cause.timestampMs)
          considerPublication(ctx, event.generation)
        },
        // Nothing more will come of this generation: what was published stays, growth ends.
        TranscodeFailed: (ctx) => ctx.unschedule('grow'),
      },
    },
    due: { grow: (ctx) => considerPublication(ctx, newestGeneration(ctx.state)) },
    settled: {
      publish: (ctx, { generation, revision, complete }, outcome) => {
        if (outcome.ok) {
          ctx.emit.PlaylistPublished({ generation, revision, complete, ...outcome.value })
          const isFirst = (ctx.state.progress.get(String(generation)) ?? NOT_PUBLISHED).publishedMs === 0
          if (isFirst && generation === FIRST_GENERATION) {
            ctx.emit.GenerationSelected({ generation, by: 'AUTO' })
          }
          return
        }
        const progress = ctx.state.progress.get(String(generation)) ?? NOT_PUBLISHED
        ctx.state.progress.put({ ...progress, inFlight: false }, String(generation))
        if (complete) {
          ctx.emit.TranscodeFailed({ generation, code: outcome.code, detail: NOT_PUBLISHABLE, attempts: 1 })
        }
      },
    },
  },
)

/** For the uploader; what happened is in the log of the effect. */
const NOT_PUBLISHABLE = 'The video was converted, but its playlists could not be published.'

type State = StateOf<typeof state>

interface Publisher {
  readonly now: number
  readonly state: State
  readonly perform: { publish(input: g.PublishInput): string }
  schedule(timer: 'grow', atMs: number): void
}

const progressOf = (state: State, generation: number): g.Progress =>
  state.progress.get(String(generation)) ?? NOT_PUBLISHED

/** The whole video is published: whatever still arrives of this generation is a repetition. */
const isOver = (state: State, generation: number): boolean => progressOf(state, generation).complete

/** First wins per segment index; the track is playable as far as it has no gap. */
const addSegments = (state: State, { generation, track, firstIndex, renditions }: SegmentsTranscoded): void => {
  const count = renditions[0]?.segments.length ?? 0
  for (let n = 0; n < count; n++) {
    const id = segmentId(generation, track, firstIndex + n)
    if (state.segment.get(id) !== undefined) continue
    const ofIndex = renditions.flatMap(({ rendition, init, segments }) => {
      const segment = segments[n]
      return segment === undefined ? [] : [{ rendition, init, segment }]
    })
    state.segment.put({ renditions: ofIndex }, id)
  }
  const trackId = `${generation}/${track}`
  let { segmentCount, playableMs } = state.track.get(trackId) ?? { segmentCount: 0, playableMs: 0 }
  for (;;) {
    const next = state.segment.get(segmentId(generation, track, segmentCount))?.renditions[0]
    if (next === undefined) break
    segmentCount += 1
    playableMs += (next.segment.durationTicks * 1000) / next.init.timescale
  }
  state.track.put({ segmentCount, playableMs }, trackId)
}

/** Sorts by index: segments are read in the order of their ids. */
const segmentId = (generation: number, track: string, index: number): string =>
  `${generation}/${track}/${String(index).padStart(6, '0')}`

const foldPublished = (state: State, event: PlaylistPublished, atMs: number): void => {
  const { generation, revision, playableDurationMs, complete } = event
  const before = progressOf(state, generation)
  if (revision < before.asked) return
  const publishedMs = Math.max(before.publishedMs, playableDurationMs)
  const after = { asked: revision, inFlight: false, publishedMs, publishedAtMs: atMs, complete }
  state.progress.put(after, String(generation))
  if (complete) forgetSegments(state, generation)
}

/** Nothing more is published of this generation: what is needed again is in the playlists. */
const forgetSegments = (state: State, generation: number): void => {
  for (const collection of [state.segment, state.track, state.rendition]) {
    for (const [id] of collection.entries(`${generation}/`)) collection.delete(id)
  }
  state.plan.delete(String(generation))
}

const considerPublication = ({ state, now, perform, schedule }: Publisher, generation: number): void => {
  const plan = state.plan.get(String(generation))?.plan
  if (plan === undefined) return
  const progress = progressOf(state, generation)
  const tracks = tracksOf(plan)
  const bounds = tracks.map(({ track }) => ({ track, ...(state.track.get(`${generation}/${track}`) ?? NO_SEGMENTS) }))
  const isComplete = tracks.every(({ track, renditions }) =>
    renditions.every((name) => state.rendition.get(`${generation}/${track}/${name}`) !== undefined),
  )
  const playableMs = Math.min(...bounds.map((bound) => bound.playableMs))
  const decision = decidePublication(progress, { playableMs, isComplete }, now)
  if (decision.kind === 'wait') schedule('grow', decision.untilMs)
  if (decision.kind !== 'publish') return
  const revision = progress.asked + 1
  state.progress.put({ ...progress, asked: revision, inFlight: true }, String(generation))
  perform.publish({
    generation,
    revision,
    complete: decision.complete,
    tracks: bounds.map(({ track, segmentCount }) => ({ track, segmentCount })),
  })
}

const NO_SEGMENTS = { segmentCount: 0, playableMs: 0 }

const newestGeneration = (state: State): number =>
  Math.max(FIRST_GENERATION, ...state.plan.entries().map(([id]) => Number(id)))
