/**
 * One upload as a row: what it is, how far it is, what can be done about it. It shows states and knows nothing of how
 * they come about; elements stay and only change, so that nothing is announced or loses the focus without a reason.
 */
import type { UploadProgress } from '../../ingest/sdk/index.ts'
import { el, icon, setText } from '../dom.ts'
import { formatBytes, formatSpeed, formatTimeLeft } from '../format.ts'
import { clearProblem, showProblem } from '../notice.ts'
import type { Pipeline } from '../video/pipeline.ts'
import { createStepList } from '../video/steps.ts'

export type RowState =
  /** Of an earlier visit: the file must be chosen again. */
  | { readonly kind: 'interrupted'; readonly storedBytes: number; readonly expiresAtMs: number | null }
  /** For its turn. */
  | { readonly kind: 'waiting' }
  /** `isOffline`: nobody answers; it goes on by itself. */
  | {
      readonly kind: 'uploading' | 'paused'
      readonly progress: UploadProgress | null
      readonly isOffline: boolean
    }
  /** Everything is sent. */
  | { readonly kind: 'checking'; readonly isOffline: boolean }
  | { readonly kind: 'processing'; readonly pipeline: Pipeline }
  | { readonly kind: 'failed'; readonly error: unknown; readonly pipeline: Pipeline | null }

export type RowAction = 'pause' | 'resume' | 'cancel' | 'choose' | 'discard' | 'retry' | 'dismiss'

export interface UploadRow {
  readonly item: HTMLLIElement
  show(state: RowState): void
  /** As soon as it can be watched. */
  link(href: string): void
}

const ACTIONS: Readonly<Record<RowState['kind'], readonly RowAction[]>> = {
  interrupted: ['choose', 'discard'],
  waiting: ['cancel'],
  uploading: ['pause', 'cancel'],
  paused: ['resume', 'cancel'],
  checking: [],
  processing: [],
  failed: ['retry', 'dismiss'],
}

const LABELS: Readonly<Record<RowAction, readonly [label: string, icon: string]>> = {
  pause: ['Pause', 'pause'],
  resume: ['Resume', 'play'],
  cancel: ['Cancel', 'close'],
  choose: ['Choose the file again', 'upload'],
  discard: ['Discard', 'close'],
  retry: ['Try again', 'upload'],
  dismiss: ['Dismiss', 'close'],
}

/** @param sizeBytes of the file */
export const createRow = (
  title: string,
  fileName: string,
  sizeBytes: number,
  act: (action: RowAction) => void,
): UploadRow => {
  const heading = el('h2', { tabindex: -1 }, title)
  const status = el('p', { class: 'quiet', role: 'status' })
  const numbers = el('p', { class: 'numbers' })
  const bytes = el('progress', { max: 1, 'aria-label': `Upload of ${title}` })
  const steps = el('ol', { class: 'steps', 'aria-label': 'What happens to the video' })
  const stepList = createStepList(steps)
  const problem = el('div', { role: 'alert' })
  const buttons = el('p', { class: 'actions' })
  const result = el('p', { class: 'actions', 'aria-live': 'polite' })
  const item = el(
    'li',
    { class: 'upload-row panel' },
    el('div', { class: 'row-head' }, el('div', {}, heading, el('p', { class: 'quiet file-name' }, fileName)), buttons),
    ...[bytes, numbers, status, steps, problem, result],
  )

  const showButtons = (actions: readonly RowAction[]): void => {
    const hadFocus = buttons.contains(document.activeElement)
    buttons.replaceChildren(...actions.map((action) => buttonFor(action, title, act)))
    if (hadFocus) (buttons.querySelector('button') ?? heading).focus()
  }

  return {
    item,
    link: (href) => result.replaceChildren(el('a', { class: 'button primary', href }, icon('play'), 'Watch it now')),
    show(state) {
      if (item.dataset.state !== state.kind) {
        item.dataset.state = state.kind
        showButtons(ACTIONS[state.kind])
      }
      setText(status, sentenceFor(state, sizeBytes))
      const shares = shareOf(state, sizeBytes)
      bytes.hidden = shares === undefined
      if (typeof shares === 'number') bytes.value = shares
      else bytes.removeAttribute('value')
      setText(numbers, 'progress' in state && state.progress !== null ? numbersOf(state.progress) : '')
      numbers.hidden = numbers.textContent === ''
      const pipeline = 'pipeline' in state ? state.pipeline : null
      steps.hidden = pipeline === null
      if (pipeline !== null) stepList.show(pipeline)
      if (state.kind === 'failed') showProblem(problem, state.error)
      else clearProblem(problem)
    },
  }
}

const buttonFor = (action: RowAction, title: string, act: (action: RowAction) => void): HTMLButtonElement => {
  const [label, symbol] = LABELS[action]
  const button = el('button', { class: 'button', type: 'button' }, icon(symbol), label)
  // Of several rows, which one: for whoever hears the buttons without seeing where they are.
  button.append(el('span', { class: 'unseen' }, ` ${title}`))
  button.addEventListener('click', () => act(action))
  return button
}

const OFFLINE = 'Waiting for the connection: it goes on by itself …'

const sentenceFor = (state: RowState, sizeBytes: number): string => {
  switch (state.kind) {
    case 'interrupted': {
      const until = state.expiresAtMs === null ? '' : `, until ${new Date(state.expiresAtMs).toLocaleString()}`
      const stored = `${formatBytes(state.storedBytes)} of ${formatBytes(sizeBytes)}`
      return `Interrupted: ${stored} are stored. Choose or drop the same file to go on${until}.`
    }
    case 'waiting':
      return `${formatBytes(sizeBytes)} · waits for its turn`
    case 'uploading':
      return state.isOffline ? OFFLINE : ''
    case 'paused':
      return 'Paused'
    case 'checking':
      return state.isOffline ? OFFLINE : 'Everything is sent; checking that it arrived …'
    default:
      return ''
  }
}

/** Of the bar: null = somewhere, undefined = there is none. */
const shareOf = (state: RowState, sizeBytes: number): number | null | undefined => {
  switch (state.kind) {
    case 'interrupted':
      return sizeBytes === 0 ? 0 : state.storedBytes / sizeBytes
    case 'waiting':
      return 0
    case 'uploading':
    case 'paused':
      return state.progress === null ? null : state.progress.sentBytes / Math.max(1, sizeBytes)
    case 'checking':
      return 1
    default:
      return undefined
  }
}

const numbersOf = ({ sentBytes, totalBytes, rateBps, etaMs }: UploadProgress): string => {
  const parts = [
    `${formatBytes(sentBytes)} of ${formatBytes(totalBytes ?? sentBytes)}`,
    rateBps > 0 ? formatSpeed(rateBps) : '',
    etaMs !== null && etaMs > 0 ? formatTimeLeft(etaMs) : '',
  ]
  return parts.filter((part) => part !== '').join(' · ')
}
