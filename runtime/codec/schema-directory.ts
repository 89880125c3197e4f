import { ConfigError } from '../../platform/errors.ts'
import type { LogRecord } from '../kafka/log-records.ts'
import type { AvroSchema, SchemaIds } from './avro.ts'

/**
 * Schema id ↔ schema, in memory. Filled from the compacted topic `schema-ids`, which the migrate step writes, so the log
 * stays readable when the registry's own store is gone; only an id that is not there is asked of the registry.
 */
export interface SchemaDirectory extends SchemaIds {
  /** Takes what `schema-ids` says. */
  add(id: number, schema: string): void
  /** Asks the registry for an id that is not known. Throws UpstreamError (retryable). Known ids resolve at once. */
  learn(id: number): Promise<void>
}

export const SCHEMA_IDS_TOPIC = 'schema-ids'

export const createDirectory = (fetchSchema: (id: number) => Promise<string>): SchemaDirectory => {
  const schemas = new Map<number, string>()
  const ids = new Map<string, number>()
  const add = (id: number, schema: string): void => {
    schemas.set(id, schema)
    ids.set(canonical(schema), id)
  }
  return {
    add,
    learn: async (id) => {
      if (!schemas.has(id)) add(id, await fetchSchema(id))
    },
    schemaOf: (id) => schemas.get(id),
    idOf: (schema) => {
      const id = ids.get(canonical(schema.schema))
      if (id !== undefined) return id
      throw new ConfigError('SCHEMA_NOT_REGISTERED', `${schema.name} is not registered: run the migrate step`, {
        facts: { schema: schema.name },
      })
    },
  }
}

/** Gives ids on first use. For tests. */
export const memoryDirectory = (): SchemaDirectory => {
  const directory = createDirectory(() => Promise.reject(new ConfigError('SCHEMA_UNKNOWN', 'there is no registry')))
  const known = new Map<string, number>()
  return {
    ...directory,
    idOf: (schema: AvroSchema<unknown>) => {
      const id = known.get(schema.schema) ?? known.size + 1
      if (id > known.size) {
        known.set(schema.schema, id)
        directory.add(id, schema.schema)
      }
      return id
    },
  }
}

/** Folds records of `schema-ids` into a directory: key = id, value = schema. */
export const addSchemaIds = (directory: SchemaDirectory, records: readonly LogRecord[]): void => {
  for (const { key, value } of records) {
    if (key !== null && value !== null) directory.add(Number(key), value.toString())
  }
}

/** Key order and white space do not make another schema. */
export const canonical = (schema: string): string => JSON.stringify(sorted(JSON.parse(schema)))

const sorted = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([k, v]) => [k, sorted(v)]),
  )
}
