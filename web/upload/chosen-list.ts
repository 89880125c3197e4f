import { el, icon } from '../dom.ts'
import { formatBytes } from '../format.ts'
import { titleFrom } from './details.ts'

/** A file that is chosen and not begun. */
export interface Chosen {
  readonly file: File
  readonly fingerprint: string
  readonly title: HTMLInputElement
}

/** The files that the form is about, each with a title of its own. */
export interface ChosenList {
  add(file: File, fingerprint: string): void
  has(fingerprint: string): boolean
  /** Gives them all out, and is empty. */
  take(): readonly Chosen[]
}

/** What `required` alone would let pass. */
const NOT_BLANK = { pattern: '.*\\S.*', title: 'More than spaces' }

/** @param onChange told after each change of how many there are */
export const createChosenList = (list: HTMLElement, onChange: (count: number) => void): ChosenList => {
  const chosen = new Map<string, { readonly entry: Chosen; readonly item: HTMLElement }>()
  const remove = (fingerprint: string): void => {
    chosen.get(fingerprint)?.item.remove()
    chosen.delete(fingerprint)
    onChange(chosen.size)
  }
  return {
    has: (fingerprint) => chosen.has(fingerprint),
    add(file, fingerprint) {
      const title = el('input', { name: 'title', required: true, maxlength: 200, autocomplete: 'off', ...NOT_BLANK })
      title.value = titleFrom(file.name)
      const leaveOut = el(
        'button',
        { class: 'button', type: 'button', 'aria-label': `Leave out ${file.name}` },
        icon('close'),
      )
      leaveOut.addEventListener('click', () => remove(fingerprint))
      const label = el(
        'label',
        {},
        'Title ',
        title,
        el('span', { class: 'hint' }, `${file.name} · ${formatBytes(file.size)}`),
      )
      const item = el('li', { class: 'chosen-file' }, label, leaveOut)
      chosen.set(fingerprint, { entry: { file, fingerprint, title }, item })
      list.append(item)
      onChange(chosen.size)
    },
    take() {
      const entries = [...chosen.values()].map(({ entry }) => entry)
      chosen.clear()
      list.replaceChildren()
      onChange(0)
      return entries
    },
  }
}
