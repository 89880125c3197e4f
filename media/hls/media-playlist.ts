import type { SegmentRecord } from '../types.ts'
import { attributeList, quoted } from './attributes.ts'

/**
 * Media playlists of fragmented MP4 (RFC 8216, version 7). Pure; URIs are arguments, relative to the playlist.
 *
 * While a video is encoded its playlist is an EVENT: it only ever gets longer. Players take any playlist without
 * ENDLIST for live and would join near its end; EXT-X-START asks them to begin at 0. The complete playlist is VOD.
 * The target duration is that of the whole plan from the first short segment on, because it must never change.
 */
export interface PlaylistSegment {
  readonly uri: string
  readonly record: SegmentRecord
}

export interface MediaPlaylist {
  readonly mapUri: string
  readonly timescale: number
  /** Seconds; the same in all playlists of a presentation: see targetDurationOf. */
  readonly targetDurationSeconds: number
  /** In order, without gaps, from index 0. */
  readonly segments: readonly PlaylistSegment[]
  /** No segment will follow. */
  readonly complete: boolean
}

export const mediaPlaylist = (playlist: MediaPlaylist): string =>
  text([
    ...head(playlist),
    ...playlist.segments.flatMap(({ uri, record }) => [extinf(record.durationTicks, playlist.timescale), uri]),
    ...(playlist.complete ? ['#EXT-X-ENDLIST'] : []),
  ])

/**
 * For scrubbing: only the IDR at the start of each fragment, as byte ranges of the same objects. EXTINF is the time
 * until the next one (RFC 8216, 4.3.3.6). Costs nothing to make or to store.
 */
export const iFramePlaylist = (playlist: MediaPlaylist): string =>
  text([
    ...head(playlist),
    '#EXT-X-I-FRAMES-ONLY',
    ...playlist.segments.flatMap(({ uri, record }) =>
      record.fragments.flatMap(({ durationTicks, keyframeBytes, offset }) => [
        extinf(durationTicks, playlist.timescale),
        `#EXT-X-BYTERANGE:${keyframeBytes}@${offset}`,
        uri,
      ]),
    ),
    ...(playlist.complete ? ['#EXT-X-ENDLIST'] : []),
  ])

/** The longest duration that occurs, rounded as RFC 8216 4.3.3.1 compares it; at least 1. */
export const targetDurationOf = (durationsSeconds: readonly number[]): number =>
  Math.max(1, ...durationsSeconds.map((seconds) => Math.round(seconds)))

const head = ({ complete, mapUri, targetDurationSeconds }: MediaPlaylist): string[] => [
  '#EXTM3U',
  // 7: EXT-X-MAP in a playlist that is not I-frames only needs 6, fMP4 without surprises needs 7.
  '#EXT-X-VERSION:7',
  `#EXT-X-TARGETDURATION:${targetDurationSeconds}`,
  '#EXT-X-MEDIA-SEQUENCE:0',
  `#EXT-X-PLAYLIST-TYPE:${complete ? 'VOD' : 'EVENT'}`,
  '#EXT-X-INDEPENDENT-SEGMENTS',
  ...(complete ? [] : ['#EXT-X-START:TIME-OFFSET=0']),
  `#EXT-X-MAP:${attributeList([['URI', quoted(mapUri)]])}`,
]

const extinf = (ticks: number, timescale: number): string => `#EXTINF:${(ticks / timescale).toFixed(6)},`

const text = (lines: readonly string[]): string => `${lines.join('\n')}\n`
