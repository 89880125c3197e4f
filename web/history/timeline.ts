import type { Fact } from '../api-client.ts'
import { el } from '../dom.ts'
import { formatGap } from '../format.ts'
import { type Explanation, explainFact } from './explain.ts'

/**
 * The facts of a video as a list that grows: what became true, how long after the fact before it, because of which
 * other fact, and the fact itself as the log has it. Facts are added by their number, each once, in order.
 */
export interface Timeline {
  add(facts: readonly Fact[]): void
  /** Number of the newest fact shown, 0 before the first. */
  lastSeq(): number
  showAll(all: boolean): void
}

const AT_END_PX = 40

export const createTimeline = (list: HTMLElement): Timeline => {
  const seqOfEvent = new Map<string, number>()
  let last: Fact | undefined
  list.replaceChildren()
  list.dataset.show = 'milestones'
  return {
    add(facts) {
      const wasAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < AT_END_PX
      const isFirst = last === undefined
      for (const fact of facts) {
        if (fact.seq <= (last?.seq ?? 0)) continue
        const cause = fact.causeId === null ? undefined : seqOfEvent.get(fact.causeId)
        list.append(itemOf(fact, last, cause))
        seqOfEvent.set(fact.eventId, fact.seq)
        last = fact
      }
      // Who reads further up is left alone.
      if (wasAtEnd && !isFirst) list.scrollTop = list.scrollHeight
    },
    lastSeq: () => last?.seq ?? 0,
    showAll(all) {
      list.dataset.show = all ? 'all' : 'milestones'
    },
  }
}

const itemOf = (fact: Fact, before: Fact | undefined, cause: number | undefined): HTMLElement => {
  const explanation = explainFact(fact.type, fact.body)
  const { title, detail } = explanation
  return el(
    'li',
    { class: classOf(explanation), id: `fact-${fact.seq}`, tabindex: -1 },
    el('h3', {}, title, timeOf(fact, before)),
    detail === '' ? null : el('p', {}, detail),
    cause === undefined ? null : whyOf(cause),
    rawOf(fact),
  )
}

const classOf = ({ tone, minor }: Explanation): string => ['fact', tone, minor ? 'minor' : ''].join(' ').trim()

/** The first fact says when, every other one how much later than the one before. */
const timeOf = (fact: Fact, before: Fact | undefined): HTMLElement => {
  const at = new Date(fact.recordedAt)
  const text = before === undefined ? at.toLocaleTimeString() : formatGap(at.getTime() - Date.parse(before.recordedAt))
  return el('time', { datetime: fact.recordedAt, title: at.toLocaleString() }, text)
}

const whyOf = (cause: number): HTMLElement => {
  const button = el('button', { class: 'why', type: 'button' }, `because of #${cause}`)
  button.addEventListener('click', () => revealFact(cause))
  return button
}

const revealFact = (seq: number): void => {
  const item = document.getElementById(`fact-${seq}`)
  if (item === null) return
  item.classList.add('revealed')
  item.classList.remove('flash')
  item.scrollIntoView({ block: 'nearest' })
  item.focus({ preventScroll: true })
  item.classList.add('flash')
}

/** The JSON is made when somebody opens it: a long video has thousands of facts. */
const rawOf = (fact: Fact): HTMLElement => {
  const details = el('details', {}, el('summary', {}, `#${fact.seq} ${fact.type} @ ${fact.position}`))
  details.addEventListener('toggle', () => details.append(el('pre', {}, JSON.stringify(fact.body, null, 2))), {
    once: true,
  })
  return details
}
