import { hash } from 'node:crypto'

/**
 * Name-based UUIDs, version 5 (RFC 9562, section 5.5): the SHA-1 of a namespace and a name. The engine derives the id of
 * each record that it writes so, and keeps it until the record is sent: an id is put together in bytes and is one flat
 * string then. One that is put together from slices is a tree of twenty small objects, which takes longer to make, and
 * longer still to collect. (The uuid package takes five times as long: it parses the namespace, makes a hash object and
 * checks its own result every time.)
 */
const UUID_BYTES = 16
const LONGEST_UTF8 = 3
const DASH = '-'.charCodeAt(0)
const TEXT_LENGTH = 36
const HEX = Buffer.from('0123456789abcdef')

/** Returns the function from a name (taken as UTF-8) to its UUID, lower case, in this namespace. */
export const nameUuids = (namespace: string): ((name: string) => string) => {
  const root = Buffer.from(namespace.replaceAll('-', ''), 'hex')
  let bytes = Buffer.concat([root], 256)
  return (name) => {
    const wanted = UUID_BYTES + name.length * LONGEST_UTF8
    if (bytes.length < wanted) bytes = Buffer.concat([root], wanted)
    const end = UUID_BYTES + bytes.write(name, UUID_BYTES)
    return uuidOf(hash('sha1', bytes.subarray(0, end), 'binary'))
  }
}

/** Used again for each: what is returned is a copy. */
const text = Buffer.alloc(TEXT_LENGTH, DASH)

/** The first 16 bytes, with version and variant in their places. `digest`: a character per byte. */
const uuidOf = (digest: string): string => {
  let at = 0
  for (let n = 0; n < UUID_BYTES; n++) {
    let byte = digest.charCodeAt(n)
    if (n === 6) byte = (byte & 0x0f) | 0x50
    else if (n === 8) byte = (byte & 0x3f) | 0x80
    if (n === 4 || n === 6 || n === 8 || n === 10) at += 1
    text[at] = HEX[byte >> 4] as number
    text[at + 1] = HEX[byte & 15] as number
    at += 2
  }
  return text.toString('latin1')
}
