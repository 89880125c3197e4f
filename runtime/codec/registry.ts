/**
 * The schema registry, spoken to over HTTP only: schemas are registered by the migrate step and looked up by id. Encoding
 * and decoding are avro.ts' business (the client's own decode parses both schemas again for each message).
 */
import { COMPATIBILITY, SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry'
import { ConfigError, type ReelstreamError, UpstreamError } from '../../platform/errors.ts'
import type { OutputRecord } from '../kafka/log-records.ts'
import type { AvroSchema, SchemaIds } from './avro.ts'
import { canonicalSchema } from './canonical-schema.ts'
import { SCHEMA_IDS_TOPIC } from './schema-directory.ts'

const NOT_FOUND = 404
const CONFLICT = 409
const UNPROCESSABLE = 422
const TIMEOUT_MS = 5000

/**
 * Registers each schema under its full name as the subject, FULL_TRANSITIVE (every version reads every other), and
 * returns the ids by name. A schema that is registered already keeps its id. Throws ConfigError SCHEMA_INCOMPATIBLE or
 * SCHEMA_INVALID, naming the subject and the reason, or UpstreamError REGISTRY_UNAVAILABLE (retryable).
 */
export const registerSchemas = async (
  url: string,
  schemas: readonly AvroSchema<unknown>[],
): Promise<Map<string, number>> => {
  const registry = new SchemaRegistry({ host: url })
  const ids = new Map<string, number>()
  for (const schema of schemas) ids.set(schema.name, await register(registry, schema))
  return ids
}

/**
 * The records that `schema-ids` still lacks. Throws ConfigError REGISTRY_MISMATCH when the registry gave out an id that
 * the topic holds for another schema: this registry is not the one that the log was written with.
 */
export const schemaIdRecords = (
  held: SchemaIds,
  schemas: readonly AvroSchema<unknown>[],
  ids: ReadonlyMap<string, number>,
): OutputRecord[] =>
  schemas.flatMap(({ name, schema }) => {
    const id = ids.get(name)
    const text = canonicalSchema(schema)
    if (id === undefined || isHeld(held, name, id, text)) return []
    return [{ topic: SCHEMA_IDS_TOPIC, partition: 0, key: String(id), value: Buffer.from(text), headers: {} }]
  })

const isHeld = (held: SchemaIds, name: string, id: number, text: string): boolean => {
  const other = held.schemaOf(id)
  if (other === undefined) return false
  if (canonicalSchema(other) === text) return true
  throw registryMismatch(name, id)
}

export const registryMismatch = (name: string, id: number): ConfigError =>
  new ConfigError(
    'REGISTRY_MISMATCH',
    `The registry has another schema for ${id} than ${SCHEMA_IDS_TOPIC} (${name}). A log belongs to one registry: point ` +
      'SCHEMA_REGISTRY_URL at the one it was written with, or at an empty one, which is given the schemas of the topic',
    { facts: { schema: name, schemaId: id } },
  )

/**
 * Schema text of an id. Throws UpstreamError SCHEMA_UNKNOWN when the registry has none, or REGISTRY_UNAVAILABLE; both
 * are retryable: a schema may be registered later.
 */
export const fetchSchema = async (url: string, id: number): Promise<string> => {
  const response = await ask(`${url}/schemas/ids/${id}`)
  if (response.status === NOT_FOUND) {
    throw new UpstreamError('SCHEMA_UNKNOWN', `The registry knows no schema ${id}`, { facts: { schemaId: id } })
  }
  if (!response.ok) throw unavailable(`answered ${response.status} for schema ${id}`)
  const { schema } = (await response.json()) as { schema: string }
  return schema
}

/** Names under which there are schemas. Throws UpstreamError REGISTRY_UNAVAILABLE (retryable). */
export const fetchSubjects = async (url: string): Promise<readonly string[]> => {
  const response = await ask(`${url}/subjects`)
  if (!response.ok) throw unavailable(`answered ${response.status} for its subjects`)
  return (await response.json()) as readonly string[]
}

const ask = (url: string): Promise<Response> =>
  fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) }).catch((error: unknown) => {
    throw unavailable('did not answer', error)
  })

const register = async (registry: SchemaRegistry, { name, schema }: AvroSchema<unknown>): Promise<number> => {
  try {
    const { id } = await registry.register(
      { type: SchemaType.AVRO, schema: canonicalSchema(schema) },
      { subject: name, compatibility: COMPATIBILITY.FULL_TRANSITIVE },
    )
    return id
  } catch (error) {
    throw registrationError(name, error as Error & { status?: number })
  }
}

const registrationError = (subject: string, error: Error & { status?: number }): ReelstreamError => {
  const refused = (code: string, what: string): ConfigError =>
    new ConfigError(code, `${subject} ${what}: ${error.message}`, { cause: error, facts: { subject } })
  if (error.status === CONFLICT) return refused('SCHEMA_INCOMPATIBLE', 'does not fit its earlier versions both ways')
  if (error.name === 'ConfluentSchemaRegistryCompatibilityError') {
    return refused('SCHEMA_INCOMPATIBLE', 'is registered with another compatibility level')
  }
  if (error.status === undefined || error.status === UNPROCESSABLE) return refused('SCHEMA_INVALID', 'is not a schema')
  return unavailable(`did not register ${subject}`, error) // the client says 400 also when it cannot connect
}

const unavailable = (what: string, cause?: unknown): UpstreamError =>
  new UpstreamError('REGISTRY_UNAVAILABLE', `The schema registry ${what}`, { cause })
