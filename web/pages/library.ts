/**
 * The library: what can be watched, and what is on its way; for somebody who is signed in also all that is their own.
 * The first page is asked for again every few seconds while something on it is being worked on, and somebody looks.
 */
import { listVideos, type VideoSummary } from '../api-client.ts'
import { byId, setText } from '../dom.ts'
import { clearProblem, showProblem } from '../notice.ts'
import { currentSession } from '../session.ts'
import { createCard } from '../video/card.ts'

const BUSY_REFRESH_MS = 2_000
/** Somebody else may upload. */
const IDLE_REFRESH_MS = 15_000

const grid = byId('videos', HTMLUListElement)
const more = byId('more', HTMLButtonElement)
const notice = byId('notice', HTMLElement)

interface Listed {
  readonly video: VideoSummary
  readonly card: HTMLElement
}

/** What is shown, by id, in its order. */
let listed: ReadonlyMap<string, Listed> = new Map()
let nextCursor: string | null = null
let ownOnly = false

/** A card that says the same as before stays the same element, so that it keeps its focus. */
const entryOf = (video: VideoSummary): readonly [string, Listed] => {
  const before = listed.get(video.videoId)
  const isSame = before !== undefined && JSON.stringify(before.video) === JSON.stringify(video)
  return [video.videoId, isSame ? before : { video, card: createCard(video, Date.now()) }]
}

const show = (entries: Iterable<readonly [string, Listed]>): void => {
  listed = new Map(entries)
  const cards = [...listed.values()].map(({ card }) => card)
  const isSame = cards.length === grid.children.length && cards.every((card, index) => grid.children[index] === card)
  if (!isSame) grid.replaceChildren(...cards)
  grid.setAttribute('aria-busy', 'false')
  grid.hidden = cards.length === 0
  byId('empty', HTMLElement).hidden = cards.length > 0
  more.hidden = nextCursor === null
  setText(byId('count', HTMLElement), countOf(cards.length))
}

const countOf = (count: number): string => {
  if (count === 0) return ''
  return `${count}${nextCursor === null ? '' : '+'} ${count === 1 ? 'video' : 'videos'}`
}

const authorId = (): string | null => (ownOnly ? (currentSession()?.authorId ?? null) : null)

/** The first page anew; what was loaded behind it stays. */
const refresh = async (): Promise<void> => {
  try {
    const page = await listVideos(null, authorId())
    const first = page.items.map(entryOf)
    const wasOnePage = listed.size <= page.items.length
    if (wasOnePage) nextCursor = page.nextCursor
    const behind = wasOnePage ? [] : [...listed].slice(page.items.length)
    show([...first, ...behind])
    clearProblem(notice)
  } catch (error) {
    grid.hidden = listed.size === 0
    showProblem(notice, error)
  }
}

const loadMore = async (): Promise<void> => {
  more.disabled = true
  try {
    const page = await listVideos(nextCursor, authorId())
    nextCursor = page.nextCursor
    show([...listed, ...page.items.map(entryOf)])
  } catch (error) {
    showProblem(notice, error)
  } finally {
    more.disabled = false
  }
}

const isBusy = (): boolean =>
  [...listed.values()].some(({ video: { status } }) => status === 'processing' || status === 'uploading')

const keepFresh = async (): Promise<void> => {
  if (!document.hidden) await refresh()
  setTimeout(() => void keepFresh(), isBusy() ? BUSY_REFRESH_MS : IDLE_REFRESH_MS)
}

const chooseOwn = (own: boolean): void => {
  ownOnly = own
  nextCursor = null
  listed = new Map()
  byId('mine', HTMLElement).setAttribute('aria-pressed', String(own))
  byId('everybody', HTMLElement).setAttribute('aria-pressed', String(!own))
  void refresh()
}

more.addEventListener('click', () => void loadMore())
byId('mine', HTMLElement).addEventListener('click', () => chooseOwn(true))
byId('everybody', HTMLElement).addEventListener('click', () => chooseOwn(false))
byId('whose', HTMLElement).hidden = currentSession() === null
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) void refresh()
})

void keepFresh()
