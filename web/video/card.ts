import type { VideoSummary } from '../api-client.ts'
import { el, icon } from '../dom.ts'
import { formatAge, formatDuration, speakDuration } from '../format.ts'

export const watchPath = (videoId: string): string => `/v/${encodeURIComponent(videoId)}`

/** A video in the library: poster, duration, state, title, author, age. */
export const createCard = (video: VideoSummary, nowMs: number): HTMLLIElement => {
  const { videoId, title, author, createdAt, error } = video
  return el(
    'li',
    { class: 'card', 'data-video-id': videoId, 'data-status': video.status },
    posterOf(video),
    el('h2', {}, el('a', { href: watchPath(videoId) }, title)),
    error ? el('p', { class: 'error' }, error.message) : null,
    el(
      'p',
      { class: 'quiet' },
      `${author} · `,
      el('time', { datetime: createdAt }, formatAge(Date.parse(createdAt), nowMs)),
    ),
  )
}

const posterOf = (video: VideoSummary): HTMLElement => {
  const { durationMs, status, progress, visibility } = video
  // Pictures of private videos need a token, which an <img> does not send.
  const posterUrl = visibility === 'PRIVATE' ? null : video.posterUrl
  return el(
    'div',
    { class: 'poster' },
    // The title beside it says what it shows.
    posterUrl === null ? icon('film') : el('img', { src: posterUrl, alt: '', loading: 'lazy', decoding: 'async' }),
    statusBadge(video),
    durationMs === null || status === 'rejected'
      ? null
      : el('span', { class: 'badge', 'aria-label': speakDuration(durationMs) }, formatDuration(durationMs)),
    status === 'processing' ? el('progress', { max: 100, value: progress.percent, 'aria-label': 'Transcoding' }) : null,
    visibility === 'PUBLIC'
      ? null
      : el('span', { class: 'badge visibility' }, visibilityIcon(visibility), lower(visibility)),
  )
}

export const visibilityIcon = (visibility: string): SVGSVGElement => icon(visibility === 'PRIVATE' ? 'lock' : 'link')

const lower = (visibility: string): string => visibility.charAt(0) + visibility.slice(1).toLowerCase()

/** Says in words what is not plainly ready to watch. */
export const statusBadge = ({ status, playable, progress }: VideoSummary): HTMLElement | null => {
  switch (status) {
    case 'uploading':
      return el('span', { class: 'badge status live' }, 'Uploading')
    case 'processing':
      return el(
        'span',
        { class: 'badge status live' },
        `${playable ? 'Playable' : 'Processing'} · ${progress.percent} %`,
      )
    case 'rejected':
      return el('span', { class: 'badge status bad' }, 'Rejected')
    case 'failed':
      return el('span', { class: 'badge status bad' }, 'Failed')
    default:
      return null
  }
}
