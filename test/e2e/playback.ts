/** What a test wants to know of the player: read in the page, from the element that the page leaves its playback on. */
import type { Page } from 'playwright-core'
import type { PlayerElement } from '../../web/player/player.ts'

interface Notes {
  readonly errors: readonly string[]
  readonly switches: readonly string[]
  readonly stalls: readonly Stall[]
  /** When the second frame was shown, milliseconds since the epoch; null = not yet. */
  readonly movedAtMs: number | null
}

/** The picture stood still although somebody watched. */
export interface Stall {
  /** Seconds of play. */
  readonly at: number
  /** Seconds that were buffered beyond it. With plenty of them it was this machine that was late, not the stream. */
  readonly inHand: number
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
    const notes = {
      errors: [] as string[],
      switches: [] as string[],
      stalls: [] as { at: number; inHand: number }[],
      movedAtMs: null as number | null,
    }
    window.notes = notes
    const secondsInHand = () => {
      const { buffered, currentTime } = video
      const ends = Array.from({ length: buffered.length }, (_, i) => [buffered.start(i), buffered.end(i)] as const)
      return (ends.find(([start, end]) => start <= currentTime && currentTime <= end)?.[1] ?? currentTime) - currentTime
    }
    const noteStall = () => void notes.stalls.push({ at: video.currentTime, inHand: secondsInHand() })
    type Event = Parameters<typeof hls.on>[0]
    hls.on('hlsError' as Event, (_event: unknown, data: unknown) => {
      const { details, fatal, error } = data as { details: string; fatal: boolean; error: Error }
      if (details === 'bufferStalledError') return noteStall()
      notes.errors.push(`${details}${fatal ? ' (fatal)' : ''}: ${error.message}`)
    })
    hls.on('hlsLevelSwitched' as Event, (_event: unknown, data: unknown) => {
      const level = hls.levels[(data as { level: number }).level]
      notes.switches.push(`${level?.width}x${level?.height}`)
    })
    let framesShown = 0
    const onFrame = () => {
      framesShown += 1
      if (framesShown < 2) video.requestVideoFrameCallback(onFrame)
      else notes.movedAtMs = Date.now()
    }
    video.requestVideoFrameCallback(onFrame)
    // The wait before the first frame is no stall, and neither is the end.
    video.addEventListener('waiting', () => {
      if (framesShown > 0 && !video.seeking) noteStall()
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

/** The stalls for want of video: less than a trifle was in hand. */
export const ranDry = ({ stalls }: Pick<Notes, 'stalls'>): readonly Stall[] =>
  stalls.filter(({ inHand }) => inHand < 0.5)

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
