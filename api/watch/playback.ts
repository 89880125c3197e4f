/** What the watch routes need to know of a video: who may watch, and which playlists are the newest. */
import { LRUCache } from 'lru-cache'
import { reading } from '../../prisma/reading.ts'
import type { ApiContext } from '../context.ts'
import type { PositionListener } from '../reading/position-listener.ts'
import type { Guarded } from '../reading/viewer.ts'

export interface Playback extends Guarded {
  readonly masterKey: string | null
  readonly playbackGeneration: number | null
  readonly generations: Readonly<Record<string, PublishedGeneration>>
}

/** Newest revision of a generation, as video-catalogue folds it. */
export interface PublishedGeneration {
  readonly masterKey: string
  /** Keys of the media playlists by file name. */
  readonly playlists: Readonly<Record<string, string>>
  readonly complete: boolean
  readonly playableDurationMs: number
}

export interface Playbacks {
  /** null = no such video. At most a second old, and never older than the last notice of the catalogue. */
  find(videoId: string): Promise<Playback | null>
  close(): void
}

/** A player asks for a segment every few seconds; the question who may watch is not asked anew each time. */
const MAX_AGE_MS = 1_000
const MAX_VIDEOS = 10_000

export const createPlaybacks = (db: ApiContext['db'], positions: PositionListener): Playbacks => {
  const known = new LRUCache<string, { readonly playback: Playback | null }>({
    max: MAX_VIDEOS,
    ttl: MAX_AGE_MS,
    // A notice forgets what is being read as well: it is handed out to whoever asked before, and not kept.
    ignoreFetchAbort: true,
    fetchMethod: async (id) => ({ playback: await findPlayback(db, id) }),
  })
  const unsubscribe = positions.subscribe((notice) => {
    if ('flush' in notice || notice.projection === 'video-catalogue') known.clear()
  })
  return {
    find: async (videoId) => (await known.forceFetch(videoId)).playback,
    close: unsubscribe,
  }
}

const findPlayback = async (db: ApiContext['db'], id: string): Promise<Playback | null> => {
  const select = {
    visibility: true,
    authorId: true,
    status: true,
    masterKey: true,
    playbackGeneration: true,
    generations: true,
  } as const
  const video = await reading(() => db.video.findUnique({ where: { id }, select }))
  return video === null ? null : { ...video, generations: video.generations as unknown as Playback['generations'] }
}
