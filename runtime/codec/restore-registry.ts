import { ConfigError, UpstreamError } from '../../platform/errors.ts'
import { canonicalSchema } from './canonical-schema.ts'
import { fetchSchema, fetchSubjects, registerSchemas, registryMismatch } from './registry.ts'

/**
 * Gives a registry that has lost its store the ids back that the log was written with.
 *
 * The topic `schema-ids` has them all, so readers need no registry; but one that is empty would number schemas anew, under
 * a log that refers to the old numbers. Registries hand ids out in order, from 1. So what the topic holds is registered in
 * the order of its ids, and where the topic has none (a schema that was tried out, or is another team's) a schema of no
 * meaning takes the number. Each id that is given is compared before the next is asked for, and whoever dies in between
 * goes on where it was. Import modes, as Confluent's has one, are not common to registries (Apicurio has none).
 */
const GAP_NAME = /^reelstream\.restored\.Gap(\d+)$/

const gapSchema = (id: number) => {
  const schema = { type: 'record', name: `Gap${id}`, namespace: 'reelstream.restored', fields: [] }
  return { name: `reelstream.restored.Gap${id}`, schema: JSON.stringify(schema) }
}

/**
 * Returns how many schemas were registered: 0 when nothing is lost. `held`: schema text by id, as the topic has it. Throws
 * ConfigError REGISTRY_MISMATCH when the registry has another schema under one of the ids, REGISTRY_NOT_RESTORED when it
 * gives another id than the next, and what registering throws.
 */
export const restoreRegistry = async (url: string, held: ReadonlyMap<number, string>): Promise<number> => {
  const wanted = latestIds(held)
  const last = wanted.at(-1)
  if (last === undefined || (await isThere(url, last))) return 0
  let next = 1 + (await highestId(url, wanted))
  let count = 0
  for (const [id, schema] of wanted.filter(([id]) => id >= next)) {
    for (; next < id; next++) await registerAs(url, next, gapSchema(next))
    await registerAs(url, next, { name: nameOf(schema), schema })
    next += 1
    count += 1
  }
  return count
}

type Held = readonly [id: number, schema: string]

/** In order of the ids. A schema with two of them is written with the later one; no registry has it twice. */
const latestIds = (held: ReadonlyMap<number, string>): readonly Held[] => {
  const byId = [...held].sort(([a], [b]) => a - b)
  const idOf = new Map(byId.map(([id, schema]) => [canonicalSchema(schema), id]))
  return byId.filter(([id, schema]) => idOf.get(canonicalSchema(schema)) === id)
}

/** Throws REGISTRY_MISMATCH when another one is there. */
const isThere = async (url: string, [id, schema]: Held): Promise<boolean> => {
  const found = await fetchSchema(url, id).catch((error: unknown) => {
    if (error instanceof UpstreamError && error.code === 'SCHEMA_UNKNOWN') return null
    throw error
  })
  if (found === null) return false
  if (canonicalSchema(found) !== canonicalSchema(schema)) throw registryMismatch(nameOf(schema), id)
  return true
}

/** Of what an earlier attempt has registered; 0 without one. */
const highestId = async (url: string, wanted: readonly Held[]): Promise<number> => {
  let highest = 0
  for (const held of wanted) if (await isThere(url, held)) highest = held[0]
  for (const subject of await fetchSubjects(url)) highest = Math.max(highest, Number(GAP_NAME.exec(subject)?.[1] ?? 0))
  return highest
}

const registerAs = async (url: string, id: number, schema: { name: string; schema: string }): Promise<void> => {
  const given = (await registerSchemas(url, [schema])).get(schema.name)
  if (given === id) return
  throw new ConfigError(
    'REGISTRY_NOT_RESTORED',
    `The registry has lost schemas of this log and gives ${schema.name} the id ${given}, which was ${id}. It must be the ` +
      'one that the log was written with, restored from its backup, or an empty one that hands ids out from 1 on',
    { facts: { schema: schema.name, schemaId: id, given: given ?? -1 } },
  )
}

const nameOf = (schema: string): string => {
  const { name, namespace } = JSON.parse(schema) as { readonly name: string; readonly namespace?: string }
  return namespace === undefined ? name : `${namespace}.${name}`
}
