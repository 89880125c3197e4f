/**
 * The process that keeps the read models: every projection, all partitions.
 *
 * It is no member of a consumer group. A group only assigns, and here the position in PostgreSQL already says who is
 * next and refuses everybody else; so one process reads all partitions, and a second one, started for safety, loses
 * each race and stands by until the first is gone. Stopping lets the running batches end.
 */
import pg from 'pg'
import { readConfig, requireSettings } from '../platform/config.ts'
import { endGracefully, patiently } from '../platform/graceful-end.ts'
import { startHealthServer } from '../platform/http/health-server.ts'
import { createLogger } from '../platform/log.ts'
import { superviseProjections } from './engine/supervise.ts'
import { projections } from './index.ts'
import { openProjectionSources } from './sources.ts'

const config = readConfig()
requireSettings(config, ['databaseUrl', 'kafkaBrokers', 'schemaRegistryUrl'])
const log = createLogger('projections', config.logLevel)
const atEnd = endGracefully(log)

const sources = await patiently(() => openProjectionSources(config, `${config.appId}.projections`, log), log)
const supervisor = superviseProjections({
  ...sources,
  projections,
  log,
  async connect() {
    const client = new pg.Client({ connectionString: config.databaseUrl })
    client.on('error', (err) => log.warn({ err }, 'database connection lost'))
    await client.connect()
    return client
  },
})
const health = await startHealthServer({
  host: config.host,
  port: config.projectionsPort,
  name: 'projections',
  ready: () => {
    const { ready, detail, error } = supervisor.status()
    return { ready, detail: error === null ? detail : { error, loops: detail } }
  },
})
log.info({ port: health.port, projections: projections.map(({ name }) => name) }, 'projections started')

atEnd(async () => {
  await health.close()
  await supervisor.stop()
  await sources.close()
})
