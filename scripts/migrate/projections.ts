import type { Client } from 'pg'
import type { Config } from '../../platform/config.ts'
import type { Logger } from '../../platform/log.ts'
import type { Projection } from '../../projections/engine/projection.ts'
import { definitionOf, listVersions } from '../../projections/engine/versions.ts'
import { projections } from '../../projections/index.ts'
import { rebuildProjection, withConnection } from '../../projections/rebuild-projection.ts'

/**
 * The part of the migrate step that no SQL could do: read models whose tables were made by another release are folded anew
 * from the log, beside the old ones, and swapped. Whoever still runs is served by the old ones until then, and a rollback
 * leads back to them. Long for a long log: an operator who cannot wait runs `reelstream rebuild` of the new release first.
 */
export const migrateProjections = async (config: Config, log: Logger): Promise<readonly string[]> => {
  const outdated = await withConnection(config.databaseUrl, outdatedIn)
  for (const projection of outdated) {
    log.info({ projection: projection.name }, 'tables of another release: folding the log anew')
    const { version, events } = await rebuildProjection(config, projection, {
      clientId: `${config.appId}.migrate`,
      log,
      verify: false,
      signal: new AbortController().signal,
      confirm: async () => true,
    })
    log.info({ projection: projection.name, version, events }, 'tables swapped')
  }
  return outdated.map(({ name }) => name)
}

const outdatedIn = async (client: Client): Promise<readonly Projection[]> => {
  const live = (await listVersions(client)).filter(({ state }) => state === 'live')
  const isCurrent = async (projection: Projection) => {
    const definition = await definitionOf(projection)
    return live.some((each) => each.projection === projection.name && each.definition === definition)
  }
  const current = await Promise.all(projections.map(isCurrent))
  return projections.filter((_, i) => current[i] === false)
}
