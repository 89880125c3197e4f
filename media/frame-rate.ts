/**
 * Which constant rate a picture stream has, or deserves.
 *
 * Containers lie about rates: a header may carry a guess, an average hides a variable one, Matroska rounds every
 * timestamp to a millisecond. So the measured distances between frames decide: if all of them fit one of the declared
 * rates up to the container's own rounding, the rate is constant and exact. Otherwise the source is variable and gets
 * the nominal rate of its *median* distance, which a few long pauses cannot pull down.
 */
export interface Rate {
  readonly num: number
  readonly den: number
}

export interface MeasuredRate extends Rate {
  readonly variable: boolean
}

/**
 * @param declared rates the container or codec claims, most trusted first; nonsense (0/0) is skipped
 * @param pts presentation times of consecutive frames, ascending, in units of `timeBase` seconds
 * @param averageRate frames per second over the whole file, null if unknown
 */
export const measureRate = (
  declared: readonly Rate[],
  pts: readonly number[],
  timeBase: Rate,
  averageRate: number | null,
): MeasuredRate => {
  const tickSeconds = timeBase.num / timeBase.den
  const intervals = pts.slice(1).map((time, i) => (time - (pts[i] ?? time)) * tickSeconds)
  const sane = declared.filter(({ num, den }) => num > 0 && den > 0 && num / den <= MAX_SANE_RATE)
  const fits = sane.find((rate) => isConstant(rate, intervals, tickSeconds) && agrees(rate, averageRate))
  if (fits !== undefined) return { ...fits, variable: false }
  const median = medianOf(intervals.filter((seconds) => seconds > 0))
  const nominal = median === null ? (sane[0] ?? FALLBACK) : nominalRate(1 / median, sane)
  return { ...nominal, variable: true }
}

/** Reads "30000/1001". Anything else is 0/0. */
export const parseRate = (text: string | undefined): Rate => {
  const match = /^(\d+)[/:](\d+)$/.exec(text ?? '')
  return match === null ? { num: 0, den: 0 } : { num: Number(match[1]), den: Number(match[2]) }
}

/** Rates above this are time bases that a demuxer could not tell from a rate. */
const MAX_SANE_RATE = 1000
/** PAL: what is assumed of a single frame without any timing. */
const FALLBACK: Rate = { num: 25, den: 1 }

const isConstant = ({ num, den }: Rate, intervals: readonly number[], tickSeconds: number): boolean => {
  const tolerance = 1.01 * tickSeconds
  return intervals.every((seconds) => Math.abs(seconds - den / num) <= tolerance)
}

/** Half a percent: far less than any two common rates differ, more than a rounded duration can be off. */
const agrees = ({ num, den }: Rate, average: number | null): boolean =>
  average === null || Math.abs((average * den) / num - 1) < 0.005

const medianOf = (values: readonly number[]): number | null =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? null

/** The rates that cameras, broadcasters and screen recorders use. */
const COMMON_RATES: readonly Rate[] = [
  ...[5, 8, 10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 90, 100, 120, 240].map((num) => ({ num, den: 1 })),
  { num: 15, den: 2 },
  { num: 25, den: 2 },
  { num: 24_000, den: 1001 },
  { num: 30_000, den: 1001 },
  { num: 60_000, den: 1001 },
  { num: 120_000, den: 1001 },
]

/** A declared rate within 1.5 % (the jitter of phones), else the nearest common one, else the measured in thousandths. */
const nominalRate = (hertz: number, declared: readonly Rate[]): Rate => {
  const distance = ({ num, den }: Rate) => Math.abs(num / den / hertz - 1)
  const isNear = (rate: Rate) => distance(rate) < 0.015
  const nearest = COMMON_RATES.toSorted((a, b) => distance(a) - distance(b)).find(isNear)
  return declared.find(isNear) ?? nearest ?? { num: Math.max(1, Math.round(hertz * 1000)), den: 1000 }
}
