import { BadInputError } from '../platform/errors.ts'

/**
 * Every key that the product writes, in one place. Pure.
 *
 *     v/<videoId>/source                                                  the upload
 *     v/<videoId>/g<generation>/<track>/<rendition>/init.mp4              track: video, audio-0 …; rendition: 720p, aac …
 *     v/<videoId>/g<generation>/<track>/<rendition>/00042.m4s
 *     v/<videoId>/g<generation>/r<revision>/master.m3u8
 *     v/<videoId>/g<generation>/r<revision>/<track>-<rendition>.m3u8
 *     v/<videoId>/g<generation>/thumbnails/poster.jpg · storyboard.jpg · storyboard.vtt
 *
 * The rules behind them, learned from the servers: ASCII only (others come back changed or not at all); no segment
 * empty or over 200 bytes (file systems); and NO KEY IS THE FOLDER OF ANOTHER, so `v/<videoId>` itself is never a key
 * (two servers answer 500 and 409 to its children). Everything of a video is below one prefix, so that purging it is
 * one listing.
 *
 * Objects are written once. Two runs of one job may meet at a key with other bytes (x264 at its rate cap, or a zombie on
 * another version of FFmpeg: docs/adr/0013); the later one writes to `alternativeKey(key, attempt)`, and the fact that is
 * admitted says which one counts.
 */

/** Names of the thumbnail files of a generation. */
export type ThumbnailName = 'poster.jpg' | 'storyboard.jpg' | 'storyboard.vtt'

/** One rendition of one track in one generation. */
export interface RenditionRef {
  readonly videoId: string
  /** From 1. */
  readonly generation: number
  /** `video`, `audio-0`, `audio-1` … */
  readonly track: string
  /** `720p` …; `aac` for sound. */
  readonly rendition: string
}

/** Prefix of everything that belongs to any video; folders below it are named by the videos. */
export const VIDEOS_PREFIX = 'v/'

/** Prefix of everything that belongs to a video. Ends with a slash and is itself never a key. */
export const videoPrefix = (videoId: string): string => `${VIDEOS_PREFIX}${segment(videoId)}/`

export const sourceKey = (videoId: string): string => `${videoPrefix(videoId)}source`

/** Whose source the key is, or null when it is not that of one. */
export const videoIdOfSource = (key: string): string | null => /^v\/([^/]+)\/source$/.exec(key)?.[1] ?? null

/** Prefix of everything that one encode made. */
export const generationPrefix = (videoId: string, generation: number): string =>
  `${videoPrefix(videoId)}g${ordinal('generation', generation, 1)}/`

export const initKey = (ref: RenditionRef): string => `${renditionFolder(ref)}init.mp4`

/** @param index of the segment, from 0. Five digits, more when it needs them: keys sort as segments play. */
export const segmentKey = (ref: RenditionRef, index: number): string =>
  `${renditionFolder(ref)}${String(ordinal('segment', index, 0)).padStart(5, '0')}.m4s`

export const masterPlaylistKey = (videoId: string, generation: number, revision: number): string =>
  `${revisionFolder(videoId, generation, revision)}master.m3u8`

export const mediaPlaylistKey = (ref: RenditionRef, revision: number): string =>
  `${revisionFolder(ref.videoId, ref.generation, revision)}${segment(ref.track)}-${segment(ref.rendition)}.m3u8`

/** Which revision of a generation's playlists the key is of, or null when it is not that of a playlist. */
export const revisionOfPlaylist = (key: string): number | null => {
  const [, revision] = /^v\/[^/]+\/g\d+\/r(\d+)\/[^/]+\.m3u8$/.exec(key) ?? []
  return revision === undefined ? null : Number(revision)
}

export const thumbnailKey = (videoId: string, generation: number, name: ThumbnailName): string =>
  `${generationPrefix(videoId, generation)}thumbnails/${name}`

/**
 * The key to write to when `key` exists with other bytes: `a<attempt>/` after `g<generation>/`.
 * @param attempt of the job, from 1
 * @throws BadInputError KEY_INVALID for a key outside a generation: those have no alternative
 */
export const alternativeKey = (key: string, attempt: number): string => {
  const match = /^(v\/[^/]+\/g\d+\/)(.+)$/.exec(key)
  if (match === null) throw keyInvalid(`"${key}" is not in the folder of a generation`)
  return `${match[1]}a${ordinal('attempt', attempt, 1)}/${match[2]}`
}

const renditionFolder = (ref: RenditionRef): string =>
  `${generationPrefix(ref.videoId, ref.generation)}${segment(ref.track)}/${segment(ref.rendition)}/`

const revisionFolder = (videoId: string, generation: number, revision: number): string =>
  `${generationPrefix(videoId, generation)}r${ordinal('revision', revision, 1)}/`

/** Ids of foreign producers end here: nothing that leaves its folder or that a server would change gets through. */
const segment = (text: string): string => {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/.test(text)) return text
  throw keyInvalid(`"${text.slice(0, 60)}" is not 1 … 200 of A-Z a-z 0-9 . _ - beginning with a letter or digit`)
}

const ordinal = (what: string, value: number, from: number): number => {
  if (Number.isSafeInteger(value) && value >= from) return value
  throw keyInvalid(`the ${what} is a whole number from ${from}, not ${value}`)
}

const keyInvalid = (why: string): BadInputError => new BadInputError('KEY_INVALID', `No object key for this: ${why}.`)
