/**
 * The player: media-chrome's controls around a video element that hls.js feeds.
 *
 * It has two faces. Until there is something to play it says what is being waited for (or why nothing will come);
 * then it is replaced, once, by the player proper. `playback` is on the element for tests and for curious people in
 * the console: `document.querySelector('#player').playback.hls.levels`.
 */
import { el, icon } from '../dom.ts'
import type { Playback } from './hls-playback.ts'

export interface Waiting {
  readonly title: string
  readonly text: string
  /** 0 … 100, or null when nothing is being worked on. */
  readonly percent: number | null
  readonly code?: string
}

export interface Playable {
  readonly title: string
  readonly masterUrl: string
  /** Sent with every request of the player; for private videos. */
  readonly token: string | undefined
  readonly posterUrl: string | null
  readonly storyboardUrl: string | null
}

export interface Player {
  showWaiting(waiting: Waiting): void
  /** Gets everything ready that does not depend on the video. Never fails: `play` tries again, and says what is wrong. */
  prepare(): Promise<void>
  /** Begins to load; a later call changes only poster and storyboard. */
  play(playable: Playable, onFatal: (failure: { code: string; message: string }) => void): Promise<void>
  /** Says that the end of the video is still being made; null = it is not. */
  showGrowing(percent: number | null): void
}

/** The place of a player, with its playback once there is one. */
export type PlayerElement = HTMLElement & { playback?: Playback }

export const createPlayer = (place: PlayerElement): Player => {
  let stage: Promise<Stage> | undefined
  let playing: Chrome | undefined
  let growingPercent: number | null = null
  const setUp = (): Promise<Stage> => {
    stage ??= createStage().catch((error: unknown) => {
      // Next time it is tried again.
      stage = undefined
      throw error
    })
    return stage
  }
  return {
    showWaiting: (waiting) => {
      if (playing === undefined) place.replaceChildren(waitingFace(waiting))
    },
    showGrowing(percent) {
      growingPercent = percent
      playing?.showGrowing(percent)
    },
    prepare: () => setUp().then(NOTHING, NOTHING),
    async play({ title, masterUrl, token, ...pictures }, onFatal) {
      const { chrome, playback } = await setUp()
      chrome.showPictures(pictures)
      if (playing !== undefined) return
      playing = chrome
      chrome.showGrowing(growingPercent)
      chrome.video.setAttribute('aria-label', title)
      playback.load({ url: masterUrl, token, onFatal })
      place.playback = playback
      place.replaceChildren(chrome.controller)
    },
  }
}

/** Everything that is the same for every video. */
interface Stage {
  readonly chrome: Chrome
  readonly playback: Playback
}

const createStage = async (): Promise<Stage> => {
  const { createPlayback } = await import('./chrome-and-hls.ts')
  const chrome = createChrome()
  return { chrome, playback: createPlayback(chrome.video) }
}

const NOTHING = (): void => undefined

const waitingFace = ({ title, text, percent, code }: Waiting): HTMLElement =>
  el(
    'div',
    { class: 'curtain' },
    icon(code === undefined ? 'film' : 'alert'),
    el('h2', {}, title),
    el('p', {}, text, code === undefined ? null : ' ', code === undefined ? null : el('code', {}, code)),
    percent === null ? null : el('progress', { max: 100, value: percent, 'aria-label': 'Transcoding' }),
  )

interface Chrome {
  readonly controller: HTMLElement
  readonly video: HTMLVideoElement
  showPictures(pictures: Pick<Playable, 'posterUrl' | 'storyboardUrl'>): void
  showGrowing(percent: number | null): void
}

const createChrome = (): Chrome => {
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches
  const video = el('video', { slot: 'media', playsinline: true, autoplay: !calm })
  const poster = custom('media-poster-image', { slot: 'poster' })
  const growing = el('span', { class: 'growing', hidden: true })
  const controller = custom(
    'media-controller',
    {},
    video,
    poster,
    custom('media-loading-indicator', { slot: 'centered-chrome', noautohide: true }),
    custom('media-rendition-menu', { anchor: 'auto', hidden: true }),
    custom('media-playback-rate-menu', { anchor: 'auto', hidden: true, rates: '0.5 0.75 1 1.25 1.5 2' }),
    el('div', { class: 'controls' }, custom('media-time-range'), controlBar(growing)),
  )
  return {
    controller,
    video,
    showPictures({ posterUrl, storyboardUrl }) {
      if (posterUrl !== null) poster.setAttribute('src', posterUrl)
      const present = video.querySelector('track')
      if (storyboardUrl === null || present?.getAttribute('src') === storyboardUrl) return
      present?.remove()
      video.append(el('track', { default: true, kind: 'metadata', label: 'thumbnails', src: storyboardUrl }))
    },
    showGrowing(percent) {
      growing.hidden = percent === null
      if (percent !== null) growing.textContent = `Encoding, ${Math.floor(percent)} %`
    },
  }
}

const controlBar = (growing: HTMLElement): HTMLElement =>
  custom(
    'media-control-bar',
    {},
    ...['media-play-button', 'media-mute-button', 'media-volume-range'].map((name) => custom(name)),
    custom('media-time-display', { showduration: true }),
    growing,
    el('span', { class: 'spring' }),
    ...['media-playback-rate-menu-button', 'media-rendition-menu-button', 'media-pip-button'].map((name) =>
      custom(name),
    ),
    custom('media-fullscreen-button'),
  )

/** media-chrome's elements are not in TypeScript's table of tag names. */
const custom = (name: string, attributes: Parameters<typeof el>[1] = {}, ...children: (Node | string)[]): HTMLElement =>
  el(name as 'div', attributes, ...children)
