/** [first, end): the indexes from first to end - 1. */
export type IndexRange = readonly [first: number, end: number]

/**
 * Adds the indexes [first, end) to a set of ascending, disjoint ranges. `added` are those that were not in it.
 * Segments close in order within a chunk, so there are at most as many ranges as chunks at work: a set of any size
 * stays a few numbers.
 */
export const addIndexes = (
  ranges: readonly IndexRange[],
  first: number,
  end: number,
): { readonly ranges: readonly IndexRange[]; readonly added: readonly number[] } => {
  const added: number[] = []
  for (let index = first; index < end; index++) {
    if (!ranges.some(([from, to]) => index >= from && index < to)) added.push(index)
  }
  return { ranges: merge([...ranges, [first, end]]), added }
}

const merge = (ranges: readonly IndexRange[]): readonly IndexRange[] => {
  const merged: [number, number][] = []
  for (const [first, end] of ranges.toSorted((a, b) => a[0] - b[0])) {
    const last = merged.at(-1)
    if (last === undefined || first > last[1]) merged.push([first, end])
    else last[1] = Math.max(last[1], end)
  }
  return merged
}
