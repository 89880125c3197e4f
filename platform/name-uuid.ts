import { hash } from 'node:crypto'

/**
 * Name-based UUIDs, version 5 (RFC 9562, section 5.5): the SHA-1 of a namespace and a name. The engine derives the id of
 * each record that it writes so. One call of `hash` over a buffer that is used again takes a fifth of what the uuid
 * package takes, which parses the namespace, makes a hash object and checks its own result every time.
 */
const UUID_BYTES = 16
const LONGEST_UTF8 = 3
/** Digit of the variant (10xx in bits), by the digit of the hash. */
const VARIANT: Readonly<Record<string, string>> = Object.fromEntries(
  [...'0123456789abcdef'].map((digit) => [digit, ((Number.parseInt(digit, 16) & 3) | 8).toString(16)]),
)

/** Returns the function from a name (taken as UTF-8) to its UUID, lower case, in this namespace. */
export const nameUuids = (namespace: string): ((name: string) => string) => {
  const root = Buffer.from(namespace.replaceAll('-', ''), 'hex')
  let bytes = Buffer.concat([root], 256)
  return (name) => {
    const wanted = UUID_BYTES + name.length * LONGEST_UTF8
    if (bytes.length < wanted) bytes = Buffer.concat([root], wanted)
    const end = UUID_BYTES + bytes.write(name, UUID_BYTES)
    return uuidOf(hash('sha1', bytes.subarray(0, end), 'hex'))
  }
}

/** The first 16 bytes, with version and variant in their places. */
const uuidOf = (hex: string): string =>
  `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-${VARIANT[hex.charAt(16)]}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
