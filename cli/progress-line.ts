/** One line about one file that fits the terminal: what matters least goes first when it is narrow. */
export interface LineState {
  readonly name: string
  /** 0 … 1; null while nobody knows how much there is. */
  readonly fraction: number | null
  /** The most important first: `45.1 MB/s`, `0:12 left`. Empty ones are left out. */
  readonly facts: readonly string[]
}

const BAR = { min: 5, max: 30 }
const NAME = { min: 8, max: 32 }

/** Of a terminal that does not say its width, or says 0, as those of some containers do. */
const USUAL_COLUMNS = 80

/** At most `columns - 1` characters: the last column makes some terminals wrap. */
export const progressLine = ({ name, fraction, facts }: LineState, columns: number | undefined): string => {
  const width = Math.max(1, (columns || USUAL_COLUMNS) - 1)
  const percent = fraction === null ? '' : `${String(Math.floor(fraction * 100)).padStart(3)} %`
  const said = facts.filter((fact) => fact !== '')
  const least = (kept: readonly string[]) => ['x'.repeat(NAME.min), 'x'.repeat(BAR.min), percent, ...kept]
  while (said.length > 0 && joined(least(said)).length > width) said.pop()
  const room = width - joined([percent, ...said]).length - GAP.length * 2
  const hasBar = fraction !== null && room >= NAME.min + BAR.min
  const barWidth = clamp(Math.floor(room / 2), BAR)
  const nameWidth = Math.max(1, Math.min(NAME.max, hasBar ? room - barWidth : room + GAP.length))
  const bar = hasBar ? barOf(fraction, barWidth) : ''
  return joined([shortened(name, nameWidth).padEnd(nameWidth), bar, percent, ...said]).slice(0, width)
}

const GAP = '  '

const joined = (cells: readonly string[]): string => cells.filter((cell) => cell !== '').join(GAP)

const clamp = (value: number, { min, max }: { readonly min: number; readonly max: number }): number =>
  Math.max(min, Math.min(max, value))

const barOf = (fraction: number, width: number): string => {
  const done = Math.round(Math.max(0, Math.min(1, fraction)) * width)
  return '█'.repeat(done) + '░'.repeat(width - done)
}

/** In the middle, for names begin and end with what tells them apart. */
const shortened = (name: string, width: number): string => {
  if (name.length <= width) return name
  const head = Math.ceil((width - 1) / 2)
  return `${name.slice(0, head)}…${name.slice(name.length - (width - 1 - head))}`
}
