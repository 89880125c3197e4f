import { readLadder } from '../media/ladder-file.ts'
import { readConfig, requireSettings } from '../platform/config.ts'
import { describeError, ReelstreamError } from '../platform/errors.ts'
import { createLogger } from '../platform/log.ts'
import { productTopology } from '../processors/index.ts'
import { productSettings } from '../processors/settings.ts'
import { ensureBucket } from '../storage/bucket.ts'
import { createS3Client, s3SettingsOf } from '../storage/s3-client.ts'
import { migrateKafka } from './migrate/kafka.ts'
import { migrateProjections } from './migrate/projections.ts'
import { migrateSql } from './migrate/sql.ts'

/**
 * Brings topics, schemas, tables and the bucket to what this version of the code needs. Runs before the roles at every
 * start; doing it again changes nothing. What is there but differs is an error that says how to mend it.
 */
const config = readConfig()
requireSettings(config, ['kafkaBrokers', 'schemaRegistryUrl', 's3Endpoint', 'databaseUrl'])
const log = createLogger('migrate', config.logLevel)
const s3 = createS3Client(s3SettingsOf(config, 'migrate'))
try {
  const topology = productTopology(productSettings(config, readLadder(), 'migrate'))
  await Promise.all([
    migrateKafka(config, topology, log),
    migrateSql(config.databaseUrl, log),
    ensureBucket(s3, config.s3Bucket, { corsOrigins: config.webOrigins }),
  ])
  // Only now there are topics and schemas to fold from.
  await migrateProjections(config, log)
  log.info('migrated')
} catch (error) {
  console.error(error instanceof ReelstreamError ? describeError(error) : error)
  process.exitCode = 1
} finally {
  s3.destroy()
}
