/**
 * The newest revision of a media playlist, and the wait for the next one.
 *
 * A video that is being encoded has a playlist that grows. Players that ask for it every few seconds learn of a segment
 * seconds after it is there, and one that finds nothing new waits half a target duration more (RFC 8216, 6.3.4): whoever
 * begins with a second or two in hand runs dry. So the playlist of a young video offers Blocking Playlist Reload (RFC 8216bis,
 * 6.2.5.2): a player names the segment that it wants next (`_HLS_msn`), and the answer comes the moment it is published,
 * over the same notices that wake everything here. Stock hls.js does this by itself.
 *
 * It is offered only while a video is short: from a minute on a viewer has plenty in hand, and plain reloads spare the
 * connection that a held request occupies (browsers have six for an origin without HTTP/2). The offer is the server's,
 * so it is added here and is not in the stored revision.
 */
import { BadInputError } from '../../platform/errors.ts'
import type { ApiContext } from '../context.ts'
import type { Playbacks, PublishedGeneration } from './playback.ts'

export interface CurrentPlaylist {
  readonly videoId: string
  readonly generation: string
  /** Name of the playlist, without a folder. */
  readonly file: string
  /** Media sequence number of the segment that the player waits for; undefined = whatever is there. */
  readonly awaited: number | undefined
  /** Whoever asked is gone. */
  readonly signal: AbortSignal
}

const OFFERED_UNTIL_MS = 60_000
/** A target duration: shorter than any player's patience for a first byte (hls.js: 10 s). */
const HOLD_MS = 6_000
/** Without notices the tables are asked this often. */
const BLIND_POLL_MS = 250

/** Text of the playlist. Throws BadInputError NOT_FOUND, UpstreamError. */
export const currentPlaylist = async (
  { positions, media }: Pick<ApiContext, 'positions' | 'media'>,
  playbacks: Playbacks,
  wanted: CurrentPlaylist,
): Promise<string> => {
  const deadline = performance.now() + HOLD_MS
  for (;;) {
    const heard = positions.heard()
    const published = (await playbacks.find(wanted.videoId))?.generations[wanted.generation]
    if (published === undefined) throw new BadInputError('NOT_FOUND', 'There is no such file.')
    const text = (await media.whole(keyOf(published, wanted.file))).toString()
    const offers = !published.complete && published.playableDurationMs < OFFERED_UNTIL_MS
    const restMs = deadline - performance.now()
    if (!offers) return text
    if (!isNext(wanted.awaited, text) || restMs <= 0 || wanted.signal.aborted) return withOffer(text)
    await positions.next(heard, positions.isListening() ? restMs : Math.min(restMs, BLIND_POLL_MS), wanted.signal)
  }
}

/** Those that no rendition names (the master, I-frame playlists) lie beside the master. */
const keyOf = ({ masterKey, playlists }: PublishedGeneration, file: string): string =>
  playlists[file] ?? `${masterKey.slice(0, masterKey.lastIndexOf('/') + 1)}${file}`

/** The first segment that is not there yet, or the one behind it. Later ones are not waited for: RFC 8216bis, 6.2.5.2. */
const isNext = (awaited: number | undefined, text: string): boolean => {
  const count = text.split('\n#EXTINF:').length - 1
  return awaited !== undefined && count > 0 && awaited >= count && awaited <= count + 1
}

const withOffer = (text: string): string =>
  text.replace(/^#EXT-X-TARGETDURATION:.*$/m, '$&\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES')
