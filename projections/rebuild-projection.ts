/** A rebuild with everything that it needs, opened and closed around it. For composition roots: cli/ and the migrate step. */
import pg from 'pg'
import type { Config } from '../platform/config.ts'
import type { Logger } from '../platform/log.ts'
import type { Projection } from './engine/projection.ts'
import { type RebuildOptions, type RebuildResult, rebuild } from './engine/rebuild.ts'
import { openProjectionSources } from './sources.ts'

/** Throws what openProjectionSources and rebuild throw; then the live version is as it was. */
export const rebuildProjection = async (
  config: Config,
  projection: Projection,
  { clientId, log, ...options }: RebuildOptions & { readonly clientId: string; readonly log: Logger },
): Promise<RebuildResult> => {
  const sources = await openProjectionSources(config, clientId, log)
  const partitions = sources.partitionsOf(projection.reads)
  try {
    return await withConnection(config.databaseUrl, (client) =>
      withConnection(config.databaseUrl, (snapshot) =>
        rebuild({ ...sources, pg: client, snapshot, partitions }, projection, options),
      ),
    )
  } finally {
    await sources.close()
  }
}

/** A connection for as long as `use` takes. */
export const withConnection = async <T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> => {
  const client = new pg.Client({ connectionString: url })
  // The query that was running says what happened.
  client.on('error', () => undefined)
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}
