/**
 * The watch page: the player, what the video is, and what the log says about it.
 *
 * A video that is still being made is followed live: each fact goes into the timeline and the steps, and after facts
 * that change what can be seen the video is asked for again. The player's program is loaded meanwhile, and begins with
 * the very message that says that there is something to play; the playlist grows under it.
 */

import { type Fact, getFacts, getVideo, ProblemError, type Video } from '../api-client.ts'
import { byId, el, setText } from '../dom.ts'
import { formatAge, formatBandwidth } from '../format.ts'
import { createTimeline } from '../history/timeline.ts'
import { describe, showProblem } from '../notice.ts'
import { createPlayer, type Playable } from '../player/player.ts'
import { currentSession } from '../session.ts'
import { visibilityIcon } from '../video/card.ts'
import { followLive, type LiveFact } from '../video/live.ts'
import { emptyPipeline, evolvePipeline, withPercent } from '../video/pipeline.ts'
import { createStepList } from '../video/steps.ts'

const videoId = decodeURIComponent(location.pathname.split('/')[2] ?? '')
const notice = byId('notice', HTMLElement)
const player = createPlayer(byId('player', HTMLElement))
const timeline = createTimeline(byId('timeline', HTMLElement))
const steps = createStepList(byId('steps', HTMLElement))
let pipeline = emptyPipeline
let shown: Video | undefined

const FINAL: ReadonlySet<string> = new Set(['ready', 'rejected', 'failed', 'deleted'])

/** Facts after which the video itself looks different. */
const VISIBLE: ReadonlySet<string> = new Set([
  'UploadCompleted',
  'UploadAborted',
  'SourceProbed',
  'SourceRejected',
  'RenditionTranscoded',
  'TranscodeFailed',
  'ThumbnailsExtracted',
  'PlaylistPublished',
  'GenerationSelected',
  'VideoDetailsChanged',
  'VideoDeleted',
])

const showVideo = (video: Video): void => {
  shown = video
  document.title = `${video.title} · Reelstream`
  showAbout(video)
  showRenditions(video)
  showStage(video)
}

const showAbout = ({ title, author, createdAt, visibility, tags, description }: Video): void => {
  setText(byId('title', HTMLElement), title)
  byId('facts-line', HTMLElement).replaceChildren(
    el('b', {}, author),
    el(
      'time',
      { datetime: createdAt, title: new Date(createdAt).toLocaleString() },
      formatAge(Date.parse(createdAt), Date.now()),
    ),
    visibility === 'PUBLIC' ? '' : el('span', {}, visibilityIcon(visibility), visibility.toLowerCase()),
  )
  byId('tags', HTMLElement).replaceChildren(...tags.map((tag) => el('li', {}, tag)))
  setText(byId('description', HTMLElement), description)
  byId('about', HTMLElement).setAttribute('aria-busy', 'false')
}

const showRenditions = ({ renditions, audio }: Video): void => {
  byId('renditions', HTMLElement).hidden = renditions.length === 0
  const rows = [...renditions, ...audio].map(
    ({ name, width, height, frameRate, codecs, averageBandwidthBps, peakBandwidthBps }) =>
      el(
        'tr',
        {},
        el('th', { scope: 'row' }, name),
        el('td', {}, width === null ? 'sound' : `${width}×${height}`),
        el('td', {}, frameRate === null ? '' : `${Number(frameRate.toFixed(3))} fps`),
        el('td', {}, el('code', {}, codecs)),
        el('td', {}, formatBandwidth(averageBandwidthBps)),
        el('td', {}, formatBandwidth(peakBandwidthBps)),
      ),
  )
  byId('rendition-rows', HTMLElement).replaceChildren(...rows)
}

const showStage = (video: Video): void => {
  if (video.playable && video.masterUrl !== null) {
    play(video, video.masterUrl)
    player.showGrowing(video.ready ? null : pipeline.percent)
    return
  }
  player.showWaiting(waitingFor(video))
}

const play = (video: Video, masterUrl: string): void => {
  player
    .play(playableOf(video, masterUrl), (failure) =>
      showProblem(notice, new ProblemError(failure.code, 0, failure.message)),
    )
    .catch((error: unknown) => showProblem(notice, error))
}

/** Pictures of private videos need a token, which an <img> does not send. */
const playableOf = ({ title, visibility, posterUrl, storyboardUrl }: Video, masterUrl: string): Playable =>
  visibility === 'PRIVATE'
    ? { title, masterUrl, token: currentSession()?.token, posterUrl: null, storyboardUrl: null }
    : { title, masterUrl, token: undefined, posterUrl, storyboardUrl }

const waitingFor = ({ status, error }: Video) => {
  switch (status) {
    case 'uploading':
      return { title: 'Still being uploaded', text: 'This page goes on by itself.', percent: null }
    case 'rejected':
      return {
        title: 'This video was rejected',
        text: error?.message ?? '',
        percent: null,
        code: error?.code ?? 'REJECTED',
      }
    case 'failed':
      return {
        title: 'This video could not be made',
        text: error?.message ?? '',
        percent: null,
        code: error?.code ?? 'FAILED',
      }
    case 'deleted':
      return { title: 'This video was deleted', text: 'Its author removed it.', percent: null, code: 'VIDEO_DELETED' }
    default:
      return {
        title: 'Getting ready',
        text: 'It begins to play as soon as its first seconds are encoded.',
        percent: pipeline.percent,
      }
  }
}

const takeFacts = (facts: readonly Fact[]): void => {
  timeline.add(facts)
  pipeline = facts.reduce(evolvePipeline, pipeline)
  steps.show(pipeline)
}

/** Asks again after facts: one round at a time, and one more when facts came meanwhile. */
const createRefresher = () => {
  let running: Promise<void> | undefined
  let videoChanged = false
  let again = false
  const run = async (): Promise<void> => {
    while (again) {
      again = false
      takeFacts(await getFacts(videoId, timeline.lastSeq()))
      if (!videoChanged) continue
      videoChanged = false
      showVideo(await getVideo(videoId))
    }
  }
  return (changesVideo: boolean): Promise<void> => {
    again = true
    videoChanged ||= changesVideo
    running ??= run().finally(() => {
      running = undefined
    })
    return running
  }
}

const followToTheEnd = async (afterPosition: string | null): Promise<void> => {
  byId('pipeline', HTMLElement).hidden = false
  const refresh = createRefresher()
  const onFact = ({ type, percent, ready, masterUrl }: LiveFact): void => {
    pipeline = withPercent(pipeline, percent)
    // What else there is to know of the video can wait; its first frame not.
    if (shown !== undefined && masterUrl !== null) play(shown, masterUrl)
    steps.show(pipeline)
    player.showGrowing(ready ? null : pipeline.percent)
    refresh(VISIBLE.has(type)).catch((error: unknown) => showProblem(notice, error))
  }
  await followLive({ videoId, afterPosition, onFact, signal: leaving.signal })
  await refresh(true)
}

const start = async (): Promise<void> => {
  void player.prepare()
  // One after the other: a video that is not there is one error, not two.
  const video = await getVideo(videoId)
  pipeline = withPercent(pipeline, video.progress.percent)
  showVideo(video)
  const facts = await getFacts(videoId, 0)
  takeFacts(facts)
  if (!FINAL.has(video.status) || isUnpictured(video)) await followToTheEnd(facts.at(-1)?.position ?? null)
}

/** Poster and storyboard follow the last playlist by a second or so. */
const isUnpictured = ({ ready, posterUrl }: Video): boolean => ready && posterUrl === null

/** An open stream would keep the page out of the back/forward cache. */
const leaving = new AbortController()
addEventListener('pagehide', () => leaving.abort())
addEventListener('pageshow', ({ persisted }) => {
  if (persisted) location.reload()
})

const chooseFacts = (all: boolean): void => {
  timeline.showAll(all)
  byId('all-facts', HTMLElement).setAttribute('aria-pressed', String(all))
  byId('milestones', HTMLElement).setAttribute('aria-pressed', String(!all))
}

byId('all-facts', HTMLElement).addEventListener('click', () => chooseFacts(true))
byId('milestones', HTMLElement).addEventListener('click', () => chooseFacts(false))

start().catch((error: unknown) => {
  const { code, message } = describe(error)
  byId('about', HTMLElement).setAttribute('aria-busy', 'false')
  const isMissing = error instanceof ProblemError && error.status === 404
  player.showWaiting({
    title: isMissing ? 'There is no such video' : 'This video cannot be shown',
    text: message,
    percent: null,
    code,
  })
})
