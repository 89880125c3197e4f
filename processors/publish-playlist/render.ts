import path from 'node:path'
import {
  type Bandwidth,
  iFrameBandwidth,
  plannedAudioBandwidth,
  plannedVideoBandwidth,
} from '../../media/hls/bandwidth.ts'
import { checkPresentation, type Finding } from '../../media/hls/check.ts'
import { type AudioRendition, masterPlaylist, type Variant } from '../../media/hls/master-playlist.ts'
import { iFramePlaylist, type MediaPlaylist, mediaPlaylist } from '../../media/hls/media-playlist.ts'
import { BugError } from '../../platform/errors.ts'
import type { AudioPlan, PublishedRendition, RenditionPlan, TranscodePlan } from '../../schemas/generated.ts'
import { masterPlaylistKey, mediaPlaylistKey } from '../../storage/object-keys.ts'
import { TARGET_DURATION_MS } from './decide.ts'
import type { PublishInput, RenditionSegment, RenditionState, SegmentState } from './generated.ts'

/**
 * All playlists of one revision as texts by key, and what the fact will say of them. Pure: the same revision of the same
 * state is the same bytes, so writing it again is harmless.
 *
 * While a video grows its bandwidths are the encoder's caps, never too low; the complete revision has the measured ones.
 * URIs are relative to the playlist, so the tree can be moved, copied and served from anywhere.
 */
export interface RevisionState {
  readonly plan: TranscodePlan
  /** In the order of their index, by track. */
  readonly segments: ReadonlyMap<string, readonly SegmentState[]>
  /** Measured figures by `<track>/<rendition>`; complete for a complete revision. */
  readonly measured: ReadonlyMap<string, RenditionState>
}

export interface Revision {
  readonly masterKey: string
  readonly texts: ReadonlyMap<string, string>
  readonly renditions: readonly PublishedRendition[]
  readonly playableDurationMs: number
  readonly findings: readonly Finding[]
}

/** The same in every playlist of the video, from its first revision on: it must never change. */
const targetDurationOf = ({ segmentFrames, frameTicks, timescale }: TranscodePlan): number =>
  // At a few frames per second a whole number of frames may take a second longer than was aimed at.
  Math.max(TARGET_DURATION_MS / 1000, Math.round((segmentFrames * frameTicks) / timescale))

export const renderRevision = (videoId: string, input: PublishInput, state: RevisionState): Revision => {
  const { plan } = state
  const scribe = new Scribe(videoId, input, state)
  const variants = plan.renditions.map((rendition) => scribe.variant(rendition))
  const audio = plan.audio.map((track) => scribe.audio(track))
  const master = masterPlaylist({ variants, audio })
  const playlists = new Map([...scribe.texts].map(([key, text]) => [scribe.fromMaster(key), text]))
  const findings = checkPresentation({ master, playlists })
  return {
    masterKey: scribe.masterKey,
    texts: new Map([...scribe.texts, [scribe.masterKey, master]]),
    renditions: scribe.renditions,
    playableDurationMs: Math.round(Math.min(...scribe.durationsMs)),
    findings,
  }
}

class Scribe {
  readonly masterKey: string
  readonly texts = new Map<string, string>()
  readonly renditions: PublishedRendition[] = []
  readonly durationsMs: number[] = []
  readonly #videoId: string
  readonly #input: PublishInput
  readonly #state: RevisionState
  readonly #targetSeconds: number

  constructor(videoId: string, input: PublishInput, state: RevisionState) {
    this.#videoId = videoId
    this.#input = input
    this.#state = state
    this.#targetSeconds = targetDurationOf(state.plan)
    this.masterKey = masterPlaylistKey(videoId, input.generation, input.revision)
  }

  fromMaster(key: string): string {
    return relative(this.masterKey, key)
  }

  variant(rendition: RenditionPlan): Variant {
    const { frameRateNum, frameRateDen } = this.#state.plan
    const { name, width, height } = rendition
    const segments = this.#segmentsOf('video', name)
    const playlistKey = this.#keyOf('video', name)
    const iFramesKey = this.#keyOf('video', `${name}-iframes`)
    const playlist = this.#playlist(playlistKey, segments)
    const bandwidth = this.#bandwidth('video', name, plannedVideoBandwidth(rendition, this.#targetSeconds))
    const { codecs } = first(segments).init
    this.texts.set(playlistKey, mediaPlaylist(playlist))
    this.texts.set(iFramesKey, iFramePlaylist(playlist))
    const frameRate = frameRateNum / frameRateDen
    this.#published('video', name, playlistKey, { width, height, frameRate, codecs, bandwidth })
    const records = playlist.segments.map(({ record }) => record)
    const iFrames = iFrameBandwidth(records, playlist.timescale, this.#targetSeconds)
    return {
      uri: this.fromMaster(playlistKey),
      width,
      height,
      frameRateNum,
      frameRateDen,
      codecs,
      bandwidth,
      iFrames: { uri: this.fromMaster(iFramesKey), bandwidth: iFrames },
    }
  }

  audio(plan: AudioPlan): AudioRendition {
    const { track, rendition, name, language, isDefault, channels } = plan
    const segments = this.#segmentsOf(track, rendition)
    const playlistKey = this.#keyOf(track, rendition)
    const bandwidth = this.#bandwidth(track, rendition, plannedAudioBandwidth(plan))
    const { codecs } = first(segments).init
    this.texts.set(playlistKey, mediaPlaylist(this.#playlist(playlistKey, segments)))
    this.#published(track, rendition, playlistKey, { width: null, height: null, frameRate: null, codecs, bandwidth })
    return { uri: this.fromMaster(playlistKey), name, language, isDefault, channels, codecs, bandwidth }
  }

  #keyOf(track: string, rendition: string): string {
    const { generation, revision } = this.#input
    return mediaPlaylistKey({ videoId: this.#videoId, generation, track, rendition }, revision)
  }

  /** Exactly as many as the revision was asked for: the state may have grown since. */
  #segmentsOf(track: string, rendition: string): readonly RenditionSegment[] {
    const count = this.#input.tracks.find((bound) => bound.track === track)?.segmentCount ?? 0
    const segments = (this.#state.segments.get(track) ?? []).slice(0, count)
    return segments.map(({ renditions }, index) => {
      const found = renditions.find((candidate) => candidate.rendition === rendition)
      if (found !== undefined) return found
      throw new BugError('SEGMENT_MISSING', `${track}/${rendition} has no segment ${index}`)
    })
  }

  #playlist(playlistKey: string, segments: readonly RenditionSegment[]): MediaPlaylist {
    const { init } = first(segments)
    const ticks = segments.reduce((sum, { segment }) => sum + segment.durationTicks, 0)
    this.durationsMs.push((ticks * 1000) / init.timescale)
    return {
      mapUri: relative(playlistKey, init.objectKey),
      timescale: init.timescale,
      targetDurationSeconds: this.#targetSeconds,
      segments: segments.map(({ segment }) => ({ uri: relative(playlistKey, segment.objectKey), record: segment })),
      complete: this.#input.complete,
    }
  }

  #bandwidth(track: string, rendition: string, planned: Bandwidth): Bandwidth {
    if (!this.#input.complete) return planned
    const measured = this.#state.measured.get(`${track}/${rendition}`)
    if (measured === undefined) throw new BugError('RENDITION_MISSING', `${track}/${rendition} is not transcoded`)
    return { peakBps: measured.peakBandwidthBps, averageBps: measured.averageBandwidthBps }
  }

  #published(
    track: string,
    name: string,
    playlistKey: string,
    {
      bandwidth,
      ...rest
    }: Pick<PublishedRendition, 'width' | 'height' | 'frameRate' | 'codecs'> & { bandwidth: Bandwidth },
  ): void {
    const { peakBps: peakBandwidthBps, averageBps: averageBandwidthBps } = bandwidth
    this.renditions.push({ track, name, playlistKey, ...rest, peakBandwidthBps, averageBandwidthBps })
  }
}

const first = (segments: readonly RenditionSegment[]): RenditionSegment => {
  const [segment] = segments
  if (segment === undefined) throw new BugError('SEGMENT_MISSING', 'a revision needs a segment of every track')
  return segment
}

const relative = (fromKey: string, toKey: string): string => path.posix.relative(path.posix.dirname(fromKey), toKey)
