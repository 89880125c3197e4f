/**
 * How long after a fault nothing came out, as the log itself tells it: a partition's answers carry the time at which they
 * were written, by a clock that all processes of one machine share. Under a steady load an untouched partition has an
 * answer every few tens of milliseconds; one that the fault silenced is silent from then on, so of the silences that
 * begin around the fault the longest is the recovery.
 */
const BEGINS_WITHIN_MS = 1000

/**
 * From the fault to the first answer after the longest silence, over all partitions; null when none of them has an answer
 * after it any more.
 *
 * @param writtenAtMs per partition, ascending
 */
export const recoveryMs = (writtenAtMs: readonly (readonly number[])[], faultAtMs: number): number | null => {
  const each = writtenAtMs.map((times) => endOfSilence(times, faultAtMs))
  const known = each.filter((end) => end !== null)
  return known.length === 0 ? null : Math.max(...known) - faultAtMs
}

const endOfSilence = (times: readonly number[], faultAtMs: number): number | null => {
  let longest: { readonly ms: number; readonly end: number } | null = null
  for (const [i, end] of times.entries()) {
    if (end <= faultAtMs) continue
    const begin = Math.max(times[i - 1] ?? 0, faultAtMs)
    if (begin > faultAtMs + BEGINS_WITHIN_MS) break
    if (longest === null || end - begin > longest.ms) longest = { ms: end - begin, end }
  }
  return longest?.end ?? null
}

/** p in 0 … 1; null of none. */
export const quantile = (values: readonly number[], p: number): number | null => {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))] ?? null
}
