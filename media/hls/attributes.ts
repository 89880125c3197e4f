/** Values of playlist attributes (RFC 8216, 4.2), written and read. */
export type AttributeValue = string | number | { readonly quoted: string }

/** `NAME=VALUE,…` in the order given; entries that are null are left out. */
export const attributeList = (entries: readonly (readonly [string, AttributeValue | null])[]): string =>
  entries
    .filter((entry): entry is readonly [string, AttributeValue] => entry[1] !== null)
    .map(([name, value]) => `${name}=${typeof value === 'object' ? `"${value.quoted}"` : value}`)
    .join(',')

/** A quoted string cannot hold quotes or line breaks; there is no escape, so they become spaces. */
export const quoted = (text: string): AttributeValue => ({ quoted: text.replace(/["\r\n]/g, ' ') })

/** Reads an attribute list; quotes are taken off. Later duplicates lose, as players have it. */
export const parseAttributes = (text: string): ReadonlyMap<string, string> => {
  const attributes = new Map<string, string>()
  for (const [, name = '', inQuotes, bare] of text.matchAll(/([A-Z0-9-]+)=(?:"([^"]*)"|([^",]*))(?:,|$)/g)) {
    if (!attributes.has(name)) attributes.set(name, inQuotes ?? bare ?? '')
  }
  return attributes
}
