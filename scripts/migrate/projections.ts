import pg from 'pg'
import type { Config } from '../../platform/config.ts'
import type { Logger } from '../../platform/log.ts'
import type { Projection } from '../../projections/engine/projection.ts'
import { rebuild } from '../../projections/engine/rebuild.ts'
import { definitionOf, listVersions } from '../../projections/engine/versions.ts'
import { projections } from '../../projections/index.ts'
import { openProjectionSources } from '../../projections/sources.ts'

/**
 * The part of the migrate step that no SQL could do: read models whose tables were made by another release are folded anew
 * from the log, beside the old ones, and swapped. Whoever still runs is served by the old ones until then, and a rollback
 * leads back to them. Long for a long log: an operator who cannot wait runs `reelstream rebuild` of the new release first.
 */
export const migrateProjections = async (config: Config, log: Logger): Promise<readonly string[]> => {
  const outdated = await connected(config, (client) => outdatedIn(client))
  if (outdated.length === 0) return []
  const sources = await openProjectionSources(config, `${config.appId}.migrate`, log)
  try {
    for (const projection of outdated) {
      log.info({ projection: projection.name }, 'tables of another release: folding the log anew')
      const partitions = sources.partitionsOf(projection.reads)
      const { version, events } = await connected(config, (client) =>
        connected(config, (snapshot) =>
          rebuild({ ...sources, pg: client, snapshot, partitions }, projection, {
            verify: false,
            signal: new AbortController().signal,
            confirm: async () => true,
          }),
        ),
      )
      log.info({ projection: projection.name, version, events }, 'tables swapped')
    }
  } finally {
    await sources.close()
  }
  return outdated.map(({ name }) => name)
}

const outdatedIn = async (client: pg.Client): Promise<readonly Projection[]> => {
  const live = (await listVersions(client)).filter(({ state }) => state === 'live')
  const isCurrent = async (projection: Projection) => {
    const definition = await definitionOf(projection)
    return live.some((each) => each.projection === projection.name && each.definition === definition)
  }
  const current = await Promise.all(projections.map(isCurrent))
  return projections.filter((_, i) => current[i] === false)
}

const connected = async <T>({ databaseUrl }: Config, use: (client: pg.Client) => Promise<T>): Promise<T> => {
  const client = new pg.Client({ connectionString: databaseUrl })
  // The query that was running says what happened.
  client.on('error', () => undefined)
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}
