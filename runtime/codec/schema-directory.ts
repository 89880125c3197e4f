import { ConfigError, UpstreamError } from '../../platform/errors.ts'
import type { LogRecord } from '../kafka/log-records.ts'
import type { PartitionReader } from '../kafka/partition-reader.ts'
import type { AvroSchema, SchemaIds } from './avro.ts'
import { canonicalSchema } from './canonical-schema.ts'

/**
 * Which id stands for which schema. A registry gives the ids out; the truth about them is the compacted topic `schema-ids`
 * (key = id, value = schema), which the migrate step writes. So the log can be read for as long as it exists, whatever
 * becomes of the registry's own store; only an id that is not there is asked of the registry.
 */
export interface SchemaDirectory extends SchemaIds {
  /** Schema by id, as far as it is known. */
  all(): ReadonlyMap<number, string>
  /** Takes what `schema-ids` says. */
  add(id: number, schema: string): void
  /**
   * Makes an id known. A known one costs nothing, and one that several ask for is looked up once. Throws what the lookup
   * throws: UpstreamError SCHEMA_UNKNOWN or REGISTRY_UNAVAILABLE, both retryable.
   */
  learn(id: number): Promise<void>
}

export const SCHEMA_IDS_TOPIC = 'schema-ids'

/** An empty directory; `fetchSchema` is asked for what it does not know. */
export const createDirectory = (fetchSchema: (id: number) => Promise<string>): SchemaDirectory => {
  const schemas = new Map<number, string>()
  const ids = new Map<string, number>()
  const learning = new Map<number, Promise<void>>()
  const add = (id: number, text: string): void => {
    const schema = canonicalSchema(text)
    schemas.set(id, schema)
    ids.set(schema, id) // one that has two ids, after its registry was restored, is written with the later one
  }
  const find = async (id: number): Promise<void> => {
    const schema = await fetchSchema(id)
    if (!schemas.has(id)) add(id, schema)
  }
  return {
    all: () => schemas,
    add,
    schemaOf: (id) => schemas.get(id),
    idOf: (schema) => {
      const id = ids.get(canonicalSchema(schema.schema))
      if (id !== undefined) return id
      throw new ConfigError('SCHEMA_NOT_REGISTERED', `${schema.name} as it is here has no id: run the migrate step`, {
        facts: { schema: schema.name },
      })
    },
    learn: async (id) => {
      if (schemas.has(id)) return
      const found = learning.get(id) ?? find(id).finally(() => learning.delete(id))
      learning.set(id, found)
      await found
    },
  }
}

/**
 * A directory that has read the topic to its end, and reads on before it asks the registry: an id that a newer release
 * has registered is learned while the registry is away. Throws UpstreamError PARTITION_UNREADABLE (retryable).
 */
export const openSchemaDirectory = async (
  reader: PartitionReader,
  fetchSchema: (id: number) => Promise<string>,
  topic = SCHEMA_IDS_TOPIC,
): Promise<SchemaDirectory> => {
  const directory = createDirectory(async (id) => {
    await readOn()
    return directory.schemaOf(id) ?? fetchSchema(id)
  })
  let { beginning: position } = await reader.offsets(topic, 0)
  const readOn = async (): Promise<void> => {
    position = await reader.readToEnd(topic, 0, position, (records) => addSchemaIds(directory, records))
  }
  await readOn()
  return directory
}

/** Folds records of `schema-ids` into a directory: key = id, value = schema. */
export const addSchemaIds = (directory: SchemaDirectory, records: readonly LogRecord[]): void => {
  for (const { key, value } of records) {
    if (key !== null && value !== null) directory.add(Number(key), value.toString())
  }
}

/** Gives ids on first use. For tests. */
export const memoryDirectory = (): SchemaDirectory => {
  const directory = createDirectory(async (id) => {
    throw new UpstreamError('SCHEMA_UNKNOWN', `No schema has been used under ${id}`, { facts: { schemaId: id } })
  })
  const known = new Map<string, number>()
  return {
    ...directory,
    idOf: (schema: AvroSchema<unknown>) => {
      const text = canonicalSchema(schema.schema)
      const id = known.get(text) ?? known.size + 1
      if (id > known.size) {
        known.set(text, id)
        directory.add(id, text)
      }
      return id
    },
  }
}
