import avsc from 'avsc'
import { BadInputError, BugError, UpstreamError } from '../../platform/errors.ts'

/**
 * Avro values in the Confluent wire format: a zero byte, the id of the writer's schema (int32, big-endian), the value.
 *
 * Encoding writes with our schema. Decoding resolves the writer's schema to ours; the resolver is made once per pair and
 * kept, so that decoding is synchronous and costs what avsc costs (parsing the schema for each message, as registry
 * clients do, is a thousand times slower). Ids come from a `SchemaDirectory`, which is filled before anything is decoded.
 *
 * Numbers: `long` is a JavaScript number, and one that is not exact (beyond ±2^53) is refused in both directions.
 * `timestamp-millis` stays a number, `bytes` is a Buffer, `["null", X]` is `X | null`. Whatever a schema declares must be
 * there: a field that is left out is refused, not defaulted.
 */
export interface AvroSchema<T> {
  /** Full name of the record. */
  readonly name: string
  /** Self-contained Avro schema, JSON. */
  readonly schema: string
  readonly __type?: T
}

/** Schema ids both ways. Synchronous: what is not known yet is learned by whoever feeds the task. */
export interface SchemaIds {
  /** Id under which this exact schema is registered. Throws ConfigError SCHEMA_NOT_REGISTERED. */
  idOf(schema: AvroSchema<unknown>): number
  /** The writer's schema text, or undefined when the id is not known (yet). */
  schemaOf(id: number): string | undefined
}

export interface Codec {
  /** Throws BugError ENCODE_INVALID with the path of the field that does not fit, ConfigError SCHEMA_NOT_REGISTERED. */
  encode<T>(schema: AvroSchema<T>, value: T): Buffer
  /**
   * Throws UpstreamError SCHEMA_UNKNOWN (retryable; `facts.schemaId` is to be learned) or BadInputError UNDECODABLE when
   * the bytes are not a value, or one of a schema that does not resolve to this one. The value shares no memory with
   * `bytes`, except for fields of type bytes.
   */
  decode<T>(schema: AvroSchema<T>, bytes: Buffer): T
  /** Full name of the record in these bytes; undefined when it cannot be told. */
  writerName(bytes: Buffer): string | undefined
}

const MAGIC = 0
const HEADER_BYTES = 5

/** avsc's own long loses precision silently; this one refuses what is not exact. */
const exactLong = avsc.types.LongType.__with({
  fromBuffer: (buffer: Buffer) => exact(Number(buffer.readBigInt64LE())),
  toBuffer: (value: number) => {
    const buffer = Buffer.alloc(8)
    buffer.writeBigInt64LE(BigInt(value))
    return buffer
  },
  fromJSON: Number,
  toJSON: Number,
  isValid: (value: unknown) => Number.isSafeInteger(value),
  compare: (a: number, b: number) => (a === b ? 0 : a < b ? -1 : 1),
})

const exact = (value: number): number => {
  if (Number.isSafeInteger(value)) return value
  throw new BadInputError('UNDECODABLE', 'a long is beyond ±2^53')
}

const compile = (schema: string): avsc.Type =>
  avsc.Type.forSchema(JSON.parse(schema), { wrapUnions: 'never', registry: { long: exactLong } })

export const createCodec = (ids: SchemaIds): Codec => {
  const readers = new Map<AvroSchema<unknown>, Reader>()
  const names = new Map<number, string>()
  const readerOf = (schema: AvroSchema<unknown>): Reader => {
    let reader = readers.get(schema)
    if (reader === undefined) {
      reader = { type: compile(schema.schema), id: null, resolvers: new Map() }
      readers.set(schema, reader)
    }
    return reader
  }
  return {
    encode: (schema, value) => {
      const reader = readerOf(schema)
      reader.id ??= ids.idOf(schema)
      return withHeader(reader.id, encodeValue(schema, reader.type, value))
    },
    decode: <T>(schema: AvroSchema<T>, bytes: Buffer): T => {
      const reader = readerOf(schema)
      const writerId = idIn(bytes)
      if (writerId === null) throw undecodable(schema, 'not in the Confluent wire format')
      let resolver = reader.resolvers.get(writerId)
      if (resolver === undefined) {
        resolver = resolve(schema, reader.type, writerId, ids)
        reader.resolvers.set(writerId, resolver)
      }
      return resolver(bytes) as T
    },
    writerName: (bytes) => {
      const id = idIn(bytes)
      if (id === null) return undefined
      const known = names.get(id)
      if (known !== undefined) return known
      const text = ids.schemaOf(id)
      if (text === undefined) return undefined
      const name = compile(text).name
      if (name !== undefined) names.set(id, name)
      return name
    },
  }
}

interface Reader {
  readonly type: avsc.Type
  id: number | null
  readonly resolvers: Map<number, (bytes: Buffer) => unknown>
}

const idIn = (bytes: Buffer): number | null =>
  bytes.length >= HEADER_BYTES && bytes[0] === MAGIC ? bytes.readInt32BE(1) : null

const withHeader = (id: number, body: Buffer): Buffer => {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + body.length)
  bytes[0] = MAGIC
  bytes.writeInt32BE(id, 1)
  body.copy(bytes, HEADER_BYTES)
  return bytes
}

const encodeValue = (schema: AvroSchema<unknown>, type: avsc.Type, value: unknown): Buffer => {
  const wrong: string[] = []
  type.isValid(value, {
    errorHook: (path) => {
      wrong.push(path.length === 0 ? '(the value itself)' : path.join('.'))
    },
  })
  if (wrong.length === 0) return type.toBuffer(value)
  throw new BugError('ENCODE_INVALID', `a ${schema.name} does not fit its schema at ${wrong.join(', ')}`, {
    facts: { schema: schema.name, field: wrong[0] },
  })
}

const resolve = (
  schema: AvroSchema<unknown>,
  type: avsc.Type,
  writerId: number,
  ids: SchemaIds,
): ((bytes: Buffer) => unknown) => {
  const text = ids.schemaOf(writerId)
  if (text === undefined) {
    throw new UpstreamError('SCHEMA_UNKNOWN', `schema id ${writerId} is not known yet`, {
      facts: { schemaId: writerId },
    })
  }
  let resolver: avsc.Resolver
  try {
    resolver = type.createResolver(compile(text))
  } catch (cause) {
    throw undecodable(schema, `schema id ${writerId} does not resolve to it`, cause)
  }
  return (bytes) => {
    try {
      return type.fromBuffer(bytes.subarray(HEADER_BYTES), resolver)
    } catch (cause) {
      throw undecodable(schema, 'the bytes do not hold a value', cause)
    }
  }
}

const undecodable = (schema: AvroSchema<unknown>, why: string, cause?: unknown): BadInputError =>
  new BadInputError('UNDECODABLE', `cannot be read as ${schema.name}: ${why}`, {
    cause,
    facts: { schema: schema.name },
  })
