/** What a test wants to know of the player: read in the page, from the element that the page leaves its playback on. */
import type { Page } from 'playwright-core'
import type { PlayerElement } from '../../web/player/player.ts'

interface Notes {
  readonly errors: readonly string[]
  readonly switches: readonly string[]
  readonly waits: number
  /** When the picture first moved, milliseconds since the epoch; null = not yet. */
  readonly movedAtMs: number | null
}

declare global {
  interface Window {
    /** What recordPlayback has noted in this page. */
    notes?: Notes
  }
}

export interface PlaybackReport extends Notes {
  readonly currentTime: number
  readonly duration: number
  readonly ended: boolean
  readonly bufferedRanges: number
  readonly droppedFrames: number
  readonly totalFrames: number
  /** Sizes of the levels, as hls.js parsed them. */
  readonly levels: readonly string[]
}

/**
 * Waits for the player and notes from then on every error of hls.js (fatal or not), every stall, and every level.
 * Errors before that moment are not lost: a player that cannot load never gets here.
 */
export const recordPlayback = async (page: Page): Promise<void> => {
  await page.waitForFunction(() => document.querySelector<PlayerElement>('#player')?.playback?.hls !== undefined)
  await page.evaluate(() => {
    const hls = document.querySelector<PlayerElement>('#player')?.playback?.hls
    const video = document.querySelector('video')
    if (hls === undefined || video === null) throw new Error('no player')
    const notes = { errors: [] as string[], switches: [] as string[], waits: 0, movedAtMs: null as number | null }
    window.notes = notes
    type Event = Parameters<typeof hls.on>[0]
    hls.on('hlsError' as Event, (_event: unknown, data: unknown) => {
      type ErrorData = { details: string; fatal: boolean; error: Error; bufferInfo?: { len: number } }
      const { details, fatal, error, bufferInfo } = data as ErrorData
      // A decoder that is late with seconds in its buffer says that this machine is busy, and nothing of the stream.
      if (details === 'bufferStalledError' && (bufferInfo?.len ?? 0) > 1) return
      notes.errors.push(`${details}${fatal ? ' (fatal)' : ''}: ${error.message}`)
    })
    hls.on('hlsLevelSwitched' as Event, (_event: unknown, data: unknown) => {
      const level = hls.levels[(data as { level: number }).level]
      notes.switches.push(`${level?.width}x${level?.height}`)
    })
    const onMove = () => {
      if (video.currentTime === 0) return
      notes.movedAtMs ??= Date.now()
      video.removeEventListener('timeupdate', onMove)
    }
    video.addEventListener('timeupdate', onMove)
    // The wait before the first frame is no stall.
    video.addEventListener('waiting', () => {
      if (video.currentTime > 0.2 && !video.seeking) notes.waits += 1
    })
  })
}

export const reportPlayback = (page: Page): Promise<PlaybackReport> =>
  page.evaluate(() => {
    const hls = document.querySelector<PlayerElement>('#player')?.playback?.hls
    const video = document.querySelector('video')
    const { notes } = window
    if (hls === undefined || video === null || notes === undefined) throw new Error('no recorded player')
    const quality = video.getVideoPlaybackQuality()
    return {
      currentTime: video.currentTime,
      duration: video.duration,
      ended: video.ended,
      bufferedRanges: video.buffered.length,
      droppedFrames: quality.droppedVideoFrames,
      totalFrames: quality.totalVideoFrames,
      levels: hls.levels.map(({ width, height }) => `${width}x${height}`),
      ...notes,
    }
  })

/** Plays from where it is, optionally faster. */
export const play = (page: Page, rate = 1): Promise<void> =>
  page.evaluate(async (rate) => {
    const video = document.querySelector('video')
    if (video === null) throw new Error('no video')
    video.playbackRate = rate
    await video.play()
  }, rate)

export const untilPlayedTo = (page: Page, seconds: number): Promise<unknown> =>
  page.waitForFunction((seconds) => (document.querySelector('video')?.currentTime ?? 0) >= seconds, seconds)

export const untilEnded = (page: Page, timeoutMs: number): Promise<unknown> =>
  page.waitForFunction(() => document.querySelector('video')?.ended === true, undefined, { timeout: timeoutMs })

/** Limits what the page gets and sends, as in the developer tools; each call replaces the limits before it. */
export const createThrottle = async (
  page: Page,
): Promise<(limits: { readonly downloadBps?: number; readonly uploadBps?: number }) => Promise<void>> => {
  // One session, for each has limits of its own, and the narrowest counts.
  const devtools = await page.context().newCDPSession(page)
  return async ({ downloadBps, uploadBps }) => {
    await devtools.send('Network.emulateNetworkConditions', {
      offline: false,
      latency: 0,
      uploadThroughput: uploadBps === undefined ? -1 : uploadBps / 8,
      downloadThroughput: downloadBps === undefined ? -1 : downloadBps / 8,
    })
  }
}
