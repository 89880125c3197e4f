/**
 * In which order a file's parts have their turn: first what is recorded, for it is only compared, and says how much is left;
 * then what is missing, from a place of its own on and around, so that two who go on with one upload begin apart.
 * @param random in [0, 1): where among what is missing; 0 = in front
 */
export const partOrder = (
  partCount: number,
  recorded: ReadonlyMap<number, unknown>,
  random: number,
): readonly number[] => {
  const all = Array.from({ length: partCount }, (_, i) => i + 1)
  const missing = all.filter((partNumber) => !recorded.has(partNumber))
  const first = Math.floor(random * missing.length)
  return [...all.filter((partNumber) => recorded.has(partNumber)), ...missing.slice(first), ...missing.slice(0, first)]
}
