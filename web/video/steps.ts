import { el, icon, setText } from '../dom.ts'
import { formatGap } from '../format.ts'
import { type Pipeline, STEPS, type StepName, type StepState, stepStates } from './pipeline.ts'

/** What each step is called while it waits or works, and once it is done. */
const LABELS: Readonly<Record<StepName, readonly [ahead: string, done: string]>> = {
  uploaded: ['Upload', 'Uploaded'],
  checked: ['Check the source', 'Checked'],
  planned: ['Plan the encode', 'Planned'],
  transcoded: ['Transcode', 'Transcoded'],
  playable: ['Playable from the start', 'Playable'],
  ready: ['Ready', 'Ready'],
}

export interface StepList {
  show(pipeline: Pipeline): void
}

/** Draws the pipeline into an <ol>. Elements stay and only change, so that a screen reader is not told everything again. */
export const createStepList = (list: HTMLElement): StepList => {
  const items = STEPS.map((name) => createStep(name))
  list.replaceChildren(...items.map(({ item }) => item))
  return {
    show(pipeline) {
      const states = stepStates(pipeline)
      for (const { name, update } of items) update(states[name], pipeline)
    },
  }
}

const createStep = (name: StepName) => {
  const label = el('span', { class: 'label' })
  const when = el('span', { class: 'when' })
  const dot = el('span', { class: 'dot' }, icon('check'))
  const item = el('li', { class: 'step' }, dot, label, when)
  const bar = el('progress', { class: 'bar-thin', max: 100, value: 0, 'aria-label': 'Transcoding' })
  let shown: StepState | undefined

  const update = (state: StepState, pipeline: Pipeline) => {
    const isWorking = name === 'transcoded' && state === 'active'
    const percent = Math.floor(pipeline.percent)
    const [ahead, done] = LABELS[name]
    setText(label, state === 'done' ? done : isWorking ? `Transcoding ${percent} %` : ahead)
    setText(when, gapOf(name, pipeline))
    if (isWorking) bar.value = pipeline.percent
    if (state === shown) return
    shown = state
    item.className = `step ${state}`
    item.dataset.step = name
    if (state === 'active') item.setAttribute('aria-current', 'step')
    else item.removeAttribute('aria-current')
    dot.replaceChildren(icon(state === 'failed' ? 'close' : 'check'))
    if (isWorking) item.append(bar)
    else bar.remove()
  }
  return { name, item, update }
}

const gapOf = (name: StepName, { reachedAtMs, beganAtMs }: Pipeline): string => {
  const atMs = reachedAtMs[name]
  return atMs === undefined || beganAtMs === null ? '' : formatGap(atMs - beganAtMs)
}
