/**
 * One text per schema: parsed, keys sorted, no white space, nothing left out. Registries keep two ids for two layouts of
 * one schema, and give back another layout than they got; everything here compares schemas by this text. (Avro's own
 * "parsing canonical form" is something else: it drops defaults and aliases, which resolution needs.)
 * Throws SyntaxError for a text that is not JSON.
 */
export const canonicalSchema = (text: string): string => JSON.stringify(sorted(JSON.parse(text)))

const sorted = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(sorted)
  if (value === null || typeof value !== 'object') return value
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([key, child]) => [key, sorted(child)]))
}
