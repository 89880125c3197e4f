/**
 * Stable URLs over immutable keys.
 *
 * Every revision of the playlists has its own keys, `g1/r3/master.m3u8`, written once. Players keep the URL of a media
 * playlist and reload it while the video grows, so that URL must lead to the newest revision: `g1/current/<file>` does.
 * It lies as deep as `g1/r3/`, so the relative URIs inside a media playlist (`../video/720p/00000.m4s`) mean the same
 * there (current-playlist.ts serves it). Only the master at `/watch/<id>/master.m3u8` lies higher: its URIs get
 * `g1/current/` in front. (A redirect would do as well, but clients that resolve against the URL they asked for, not
 * the one they got, would miss.)
 *
 * A player that began with generation 1 stays in generation 1 until it loads the master again: the playlists of two
 * encodes never mix.
 */
export const CURRENT_FOLDER = 'current'

/** What players are given, from the first revision to the last. */
export const masterUrlOf = (videoId: string): string => `/watch/${videoId}/master.m3u8`

export const currentFolder = (generation: number): string => `g${generation}/${CURRENT_FOLDER}/`

/** The master playlist with every relative URI moved below `folder`. */
export const rebaseMaster = (text: string, folder: string): string =>
  text
    .split('\n')
    .map((line) => (line.startsWith('#') ? rebaseAttributes(line, folder) : rebase(line.trimEnd(), folder)))
    .join('\n')

/** `URI="…"` of EXT-X-MEDIA and EXT-X-I-FRAME-STREAM-INF; attribute by attribute, for a NAME may hold anything. */
const rebaseAttributes = (line: string, folder: string): string =>
  line.replace(/([A-Z0-9-]+)=("[^"]*"|[^",]*)/g, (attribute, name: string, value: string) =>
    name === 'URI' ? `URI="${rebase(value.slice(1, -1), folder)}"` : attribute,
  )

const ABSOLUTE = /^([a-z][a-z0-9+.-]*:|\/)/i

const rebase = (uri: string, folder: string): string => (uri === '' || ABSOLUTE.test(uri) ? uri : `${folder}${uri}`)
