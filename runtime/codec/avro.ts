/**
 * Values to bytes and back: Avro in the Confluent wire format (byte 0, the writer schema's id as int32, then Avro).
 *
 * Reading resolves the schema that wrote into the schema that reads, so a processor sees the fields it was compiled with,
 * whoever wrote the record and when. The resolver of each pair is made once: a decode then costs what avsc's own does
 * (the registry client's re-parses both schemas for each message). Everything is synchronous; an id must have been
 * learned before its bytes arrive here (`SchemaDirectory.learn`), which is what keeps handlers pure.
 *
 * Numbers: `long` is a JavaScript number, and one that is not exact (beyond ±2^53) is refused in both directions.
 * `timestamp-millis` stays a number, `bytes` is a Buffer, `["null", X]` is `X | null`.
 */
import { BadInputError, BugError, UpstreamError } from '../../platform/errors.ts'
import { type AvroResolver, type AvroType, compileSchema } from './avsc.ts'

/** A record type: its full name, and the self-contained Avro schema that is registered for it. */
export interface AvroSchema<T> {
  readonly name: string
  readonly schema: string
  readonly __type?: T
}

/** Schema ids both ways. Synchronous: what is not known yet is learned by whoever feeds the task. */
export interface SchemaIds {
  /** Id under which exactly this schema is registered. Throws ConfigError SCHEMA_NOT_REGISTERED. */
  idOf(schema: AvroSchema<unknown>): number
  /** The writer's schema text, or undefined when the id is not known (yet). */
  schemaOf(id: number): string | undefined
}

export interface Codec {
  /**
   * Throws BugError ENCODE_INVALID, naming every field that does not fit, and ConfigError SCHEMA_NOT_REGISTERED.
   * Longs beyond 2^53 do not fit. The bytes are a view of a slab with other values in it: copy what is kept for long.
   */
  encode<T>(schema: AvroSchema<T>, value: T): Buffer
  /**
   * The value as `schema` sees it: plain objects, longs as numbers, bytes as Buffers of their own. Throws UpstreamError
   * SCHEMA_UNKNOWN (retryable, `facts.schemaId`: learn it) and BadInputError UNDECODABLE for anything that is not a record
   * which this schema can read.
   */
  decode<T>(schema: AvroSchema<T>, bytes: Buffer): T
  /** Id of the schema that wrote; undefined when the bytes are not in the wire format. */
  schemaId(bytes: Buffer): number | undefined
  /** Full name of the record that was written; undefined when the id is not known (yet). */
  writerName(bytes: Buffer): string | undefined
  /** Whether bytes written with this schema id can be decoded without learning. */
  knows(schemaId: number): boolean
}

const MAGIC = 0
const HEADER_BYTES = 5
/** Small enough that a value which is kept does not keep much else, large enough for some hundred values. */
const SLAB_BYTES = 32 * 1024

export const createCodec = (directory: SchemaIds): Codec => {
  const encoder = createEncoder()
  const readers = new WeakMap<AvroSchema<unknown>, Reader>()
  const writers = new Map<number, AvroType>()

  const writerType = (id: number): AvroType | undefined => {
    const known = writers.get(id)
    if (known !== undefined) return known
    const schema = directory.schemaOf(id)
    if (schema === undefined) return undefined
    const type = compileSchema(schema)
    writers.set(id, type)
    return type
  }
  const readerOf = (schema: AvroSchema<unknown>): Reader => {
    const known = readers.get(schema)
    if (known !== undefined) return known
    const reader = createReader(schema, writerType)
    readers.set(schema, reader)
    return reader
  }

  return {
    encode: (schema, value) => {
      const reader = readerOf(schema)
      reader.id ??= directory.idOf(schema)
      return encoder(schema, reader.id, reader.type, value)
    },
    decode: <T>(schema: AvroSchema<T>, bytes: Buffer) => readerOf(schema).read(bytes) as T,
    schemaId: schemaIdOf,
    writerName: (bytes) => {
      const id = schemaIdOf(bytes)
      return id === undefined ? undefined : writerType(id)?.name
    },
    knows: (schemaId) => directory.schemaOf(schemaId) !== undefined,
  }
}

const schemaIdOf = (bytes: Buffer): number | undefined =>
  bytes.length > HEADER_BYTES && bytes[0] === MAGIC ? bytes.readInt32BE(1) : undefined

/**
 * Encodes value after value into one slab, and begins another when it is full: a result is a view, not a copy. What keeps
 * one for long keeps its slab, too.
 */
const createEncoder = () => {
  let slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
  let free = 0
  return (schema: AvroSchema<unknown>, id: number, type: AvroType, value: unknown): Buffer => {
    let end = encodeInto(slab, free, schema, type, value)
    if (end < 0) {
      slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, slab.length - end - free))
      free = 0
      end = encodeInto(slab, free, schema, type, value)
    }
    const encoded = slab.subarray(free, end)
    encoded[0] = MAGIC
    encoded.writeInt32BE(id, 1)
    free = end
    return encoded
  }
}

/** End of the encoded value, or minus the bytes that were missing. */
const encodeInto = (
  buffer: Buffer,
  from: number,
  schema: AvroSchema<unknown>,
  type: AvroType,
  value: unknown,
): number => {
  try {
    return type.encode(value, buffer, from + HEADER_BYTES)
  } catch (error) {
    throw new BugError('ENCODE_INVALID', `Not a ${schema.name}: ${misfits(type, value) || String(error)}`, {
      cause: error,
      facts: { schema: schema.name },
    })
  }
}

const misfits = (type: AvroType, value: unknown): string => {
  const found: string[] = []
  type.isValid(value, {
    errorHook: (path, wrong, expected) => {
      found.push(`${path.join('.') || 'the value'} is ${describe(wrong)}, expected ${expected.typeName}`)
    },
  })
  return found.join('; ')
}

/** What it is, without quoting what may be personal. */
const describe = (value: unknown): string => {
  if (value === undefined) return 'missing'
  if (value === null) return 'null'
  return typeof value === 'number' ? `the number ${value}` : `a ${typeof value}`
}

interface Reader {
  readonly type: AvroType
  /** Under which it is registered; looked up when something is first written. */
  id: number | undefined
  read(bytes: Buffer): unknown
}

const createReader = (schema: AvroSchema<unknown>, writerType: (id: number) => AvroType | undefined): Reader => {
  const type = compileSchema(schema.schema)
  const resolvers = new Map<number, AvroResolver>()

  const resolverFor = (id: number): AvroResolver => {
    const known = resolvers.get(id)
    if (known !== undefined) return known
    const writer = writerType(id)
    if (writer === undefined) {
      throw new UpstreamError('SCHEMA_UNKNOWN', `Schema ${id} has not been learned`, { facts: { schemaId: id } })
    }
    const resolver = type.createResolver(writer)
    resolvers.set(id, resolver)
    return resolver
  }

  const undecodable = (why: string, facts: { schemaId?: number } = {}, cause?: unknown): BadInputError =>
    new BadInputError('UNDECODABLE', `Not a ${schema.name}: ${why}`, {
      cause,
      facts: { schema: schema.name, ...facts },
    })

  return {
    type,
    id: undefined,
    read: (bytes) => {
      const schemaId = schemaIdOf(bytes)
      if (schemaId === undefined) throw undecodable('no schema id in front')
      try {
        const { value, offset } = type.decode(bytes, HEADER_BYTES, resolverFor(schemaId))
        if (offset === bytes.length) return value
        throw undecodable(offset < 0 ? 'the bytes end too early' : 'there are bytes left over', { schemaId })
      } catch (error) {
        if (error instanceof UpstreamError || error instanceof BadInputError) throw error
        throw undecodable((error as Error).message, { schemaId }, error)
      }
    },
  }
}
