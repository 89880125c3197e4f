/**
 * avsc, fenced in and hardened: the only file that imports it.
 *
 * Three things differ from the library as it comes.
 * - Bytes from outside cannot hang the process. An array or map says how many entries follow; avsc believes it and
 *   allocates or loops that often, so eight bytes on a door topic stop a processor. No entry takes less than a byte, so a
 *   count beyond the bytes that are left is refused. (Entries of zero bytes, nulls, do not occur in our schemas.)
 * - Records decode to plain objects. avsc makes a class per record, which no `deepEqual` and no structured clone takes
 *   for the literal it is compared with.
 * - Longs are JS numbers and refused beyond 2^53, logical types are left alone (timestamp-millis stays a number), unions
 *   are never wrapped: with `["null", X]` only, the value itself says which it is.
 */
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
  readString(): string
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

/** Every object that avsc's generated constructor makes is an Object. */
const plainRecords = (recordType: { _createConstructor(...args: unknown[]): { prototype: object } }): void => {
  const create = recordType._createConstructor
  recordType._createConstructor = function (...args) {
    return Object.assign(create.apply(this, args), { prototype: Object.prototype })
  }
}

Object.assign(avsc.types.ArrayType.prototype, boundedArray)
Object.assign(avsc.types.MapType.prototype, boundedMap)
plainRecords(avsc.types.RecordType.prototype as unknown as Parameters<typeof plainRecords>[0])
