/**
 * avsc, fenced in and hardened: the only file that imports it.
 *
 * What differs from the library as it comes:
 * - Bytes from outside cannot hang the process. An array or map says how many entries follow; avsc believes it and
 *   allocates or loops that often, so eight bytes on a door topic stop a processor. No entry takes less than a byte, so a
 *   count beyond the bytes that are left is refused. (Entries of zero bytes, nulls, do not occur in our schemas.)
 * - Records decode to plain objects. avsc makes a class per record, which no `deepEqual` and no structured clone takes
 *   for the literal it is compared with.
 * - Longs are exact up to 2^53 and refused beyond. avsc doubles them on the way (zigzag) and so changes, silently, every
 *   odd number beyond 2^52.
 * - Fields of bytes are copies, not views of what was decoded.
 * Logical types are left alone (timestamp-millis stays a number), unions are never wrapped: with `["null", X]` only, the
 * value itself says which it is.
 */
import { createRequire } from 'node:module'
import avsc from 'avsc'

export type AvroType = InstanceType<typeof avsc.Type>
export type AvroResolver = ReturnType<AvroType['createResolver']>

/** Throws avsc's Error for a schema that it cannot read. */
export const compileSchema = (schema: string): AvroType =>
  avsc.Type.forSchema(JSON.parse(schema), { wrapUnions: 'never', omitRecordMethods: true })

/** avsc's cursor over bytes; past the end it goes on without reading, and is not valid any more. */
interface Tap {
  readonly buf: Buffer
  pos: number
  readLong(): number
  writeLong(value: number): void
  readString(): string
  writeString(text: string): void
  /** undefined past the end */
  readBytes(): Buffer | undefined
  skipString(): void
  isValid(): boolean
}

interface Items {
  _read(tap: Tap): unknown
  _skip(tap: Tap): void
}

const invalidate = (tap: Tap): 0 => {
  tap.pos = tap.buf.length + 1
  return 0
}

/** Entries of the next block, 0 at the end or when there cannot be as many. A negative count is followed by a size. */
const blockCount = (tap: Tap): number => {
  const said = tap.readLong()
  const count = Math.abs(said)
  if (said < 0) tap.readLong()
  return count <= tap.buf.length - tap.pos ? count : invalidate(tap)
}

const forEachEntry = (tap: Tap, read: () => void): void => {
  for (let count = blockCount(tap); count > 0; count = blockCount(tap)) {
    for (; count > 0 && tap.isValid(); count -= 1) read()
  }
}

const boundedArray = {
  _read(this: { itemsType: Items }, tap: Tap): unknown[] {
    const items: unknown[] = []
    forEachEntry(tap, () => items.push(this.itemsType._read(tap)))
    return items
  },
  _skip(this: { itemsType: Items }, tap: Tap): void {
    forEachEntry(tap, () => this.itemsType._skip(tap))
  },
}

const boundedMap = {
  _read(this: { valuesType: Items }, tap: Tap): Record<string, unknown> {
    const entries: [string, unknown][] = []
    forEachEntry(tap, () => entries.push([tap.readString(), this.valuesType._read(tap)]))
    return Object.fromEntries(entries) // defines; an assignment to `__proto__` would not
  },
  _skip(this: { valuesType: Items }, tap: Tap): void {
    forEachEntry(tap, () => {
      tap.skipString()
      this.valuesType._skip(tap)
    })
  },
}

const LONGEST_VARINT_BYTES = 10

/** Zigzag undone by its parts: the lowest bit is the sign, the rest is at most 2^53 for every number that is exact. */
function readLong(this: Tap): number {
  let byte = this.buf[this.pos++] ?? 0
  if (byte < 0x80) return (byte >>> 1) ^ -(byte & 1)
  const negative = (byte & 1) === 1
  let magnitude = (byte & 0x7f) >> 1
  for (let n = 1, scale = 64; byte > 0x7f; n += 1, scale *= 128) {
    if (n === LONGEST_VARINT_BYTES) return invalidate(this)
    byte = this.buf[this.pos++] ?? 0
    magnitude += (byte & 0x7f) * scale
  }
  return negative ? -magnitude - 1 : magnitude
}

const writeLarge = (tap: Tap, value: number): void => {
  let rest = value < 0 ? -value - 1 : value
  let low = (rest % 64) * 2 + (value < 0 ? 1 : 0)
  for (rest = Math.floor(rest / 64); rest > 0; rest = Math.floor(rest / 128)) {
    tap.buf[tap.pos++] = low | 0x80
    low = rest % 128
  }
  tap.buf[tap.pos++] = low
}

const exactLongs = (tap: Tap): void => {
  const writeSmall = tap.writeLong
  const writeLong = function (this: Tap, value: number): void {
    if (value >= -(2 ** 30) && value < 2 ** 30) writeSmall.call(this, value)
    else writeLarge(this, value)
  }
  Object.assign(tap, { readLong, readInt: readLong, writeLong, writeInt: writeLong })
}

/** Up to here the length of a text of ASCII takes one byte, and a loop over it less than a call into the runtime. */
const SHORT_TEXT = 64

/** avsc counts the bytes of a text before it writes it; most texts are short and ASCII, and need no counting. */
const shortTexts = (tap: Tap): void => {
  const { writeString } = tap
  tap.writeString = function (this: Tap, text: string) {
    const { buf, pos } = this
    const { length } = text
    if (length >= SHORT_TEXT || pos + 1 + length > buf.length) return writeString.call(this, text)
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i)
      if (code > 0x7f) return writeString.call(this, text)
      buf[pos + 1 + i] = code
    }
    buf[pos] = length << 1
    this.pos = pos + 1 + length
  }
}

/** A field of bytes is a view in avsc: a value that is kept would keep all that was fetched with it. */
const ownBytes = (tap: Tap): void => {
  const { readBytes } = tap
  tap.readBytes = function (this: Tap) {
    const view = readBytes.call(this)
    return view === undefined ? undefined : Buffer.from(view)
  }
}

/** Every object that avsc's generated constructor makes is an Object. */
const plainRecords = (recordType: { _createConstructor(...args: unknown[]): { prototype: object } }): void => {
  const create = recordType._createConstructor
  recordType._createConstructor = function (...args) {
    return Object.assign(create.apply(this, args), { prototype: Object.prototype })
  }
}

const { Tap } = createRequire(import.meta.url)('avsc/lib/utils') as { Tap: { prototype: Tap } }
exactLongs(Tap.prototype)
ownBytes(Tap.prototype)
shortTexts(Tap.prototype)
Object.assign(avsc.types.ArrayType.prototype, boundedArray)
Object.assign(avsc.types.MapType.prototype, boundedMap)
plainRecords(avsc.types.RecordType.prototype as unknown as Parameters<typeof plainRecords>[0])
