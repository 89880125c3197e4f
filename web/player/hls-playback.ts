/**
 * hls.js on a video element: load, recover, report.
 *
 * hls.js runs as it is, but without its worker: that is for rewrapping MPEG-TS, and our segments are MP4 already, so it
 * would only pass them on (and start while a first frame waits). A token goes with its requests when the video is
 * private. Where there is no MediaSource (older iPhones) the browser plays HLS itself.
 *
 * A fatal network error is tried again with growing pauses: a viewer who closes the laptop's lid comes back to a video
 * that goes on. A fatal media error is recovered from once in a while, as hls.js advises; what is left is shown.
 */
import Hls, { ErrorTypes, Events } from 'hls.js'
import { RenditionList } from './rendition-list.ts'

export interface Playback {
  /** undefined where the browser plays HLS itself. */
  readonly hls: Hls | undefined
  /** Begins to load. Called once. */
  load(source: PlaybackSource): void
}

export interface PlaybackSource {
  /** URL of the master playlist. */
  readonly url: string
  /** Bearer token of a viewer who may see what others may not. */
  readonly token: string | undefined
  /** Playback has ended for good: code and sentence. */
  onFatal(failure: { readonly code: string; readonly message: string }): void
}

const FIRST_PAUSE_MS = 1_000
const MAX_PAUSE_MS = 30_000
const MAX_NETWORK_RETRIES = 8
const MEDIA_RECOVERY_EVERY_MS = 10_000

/** A playback that waits for its source, with everything ready that does not depend on it. */
export const createPlayback = (video: HTMLVideoElement): Playback => {
  if (!Hls.isSupported()) {
    return {
      hls: undefined,
      load: ({ url }) => {
        video.src = url
      },
    }
  }
  const hls = new Hls({ enableWorker: false })
  offerRenditions(hls, video)
  hls.attachMedia(video)
  return {
    hls,
    load(source) {
      if (source.token !== undefined) hls.config.xhrSetup = withToken(source.token)
      recoverFrom(hls, source)
      hls.loadSource(source.url)
    },
  }
}

const withToken =
  (token: string) =>
  (xhr: XMLHttpRequest, url: string): void => {
    xhr.open('GET', url, true)
    xhr.setRequestHeader('authorization', `Bearer ${token}`)
  }

/** Puts the levels into the quality menu, best first as the menu sorts them; a choice there fixes the next level. */
const offerRenditions = (hls: Hls, video: HTMLVideoElement): void => {
  const list = new RenditionList((index) => {
    hls.nextLevel = index
  })
  // Read by media-chrome when the element becomes its media.
  Object.defineProperty(video, 'videoRenditions', { value: list, configurable: true })
  hls.on(Events.MANIFEST_PARSED, (_event, { levels }) => {
    for (const [index, { width, height, bitrate }] of levels.entries()) {
      if (index >= list.length) list.add({ id: String(index), width, height, bitrate })
    }
  })
}

const recoverFrom = (hls: Hls, { url, onFatal }: PlaybackSource): void => {
  let networkRetries = 0
  let mediaRecoveredAtMs = Number.NEGATIVE_INFINITY
  hls.on(Events.FRAG_BUFFERED, () => {
    networkRetries = 0
  })
  hls.on(Events.ERROR, (_event, { fatal, type, details, error }) => {
    if (!fatal) return
    if (type === ErrorTypes.NETWORK_ERROR && networkRetries < MAX_NETWORK_RETRIES) {
      const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** networkRetries++, MAX_PAUSE_MS)
      setTimeout(() => (hls.levels.length === 0 ? hls.loadSource(url) : hls.startLoad()), pauseMs)
      return
    }
    const nowMs = performance.now()
    if (type === ErrorTypes.MEDIA_ERROR && nowMs - mediaRecoveredAtMs > MEDIA_RECOVERY_EVERY_MS) {
      mediaRecoveredAtMs = nowMs
      hls.recoverMediaError()
      return
    }
    onFatal({ code: `PLAYBACK_${details.toUpperCase()}`, message: error.message })
  })
}
