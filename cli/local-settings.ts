import path from 'node:path'
import { readRunFile } from '../local/run-file.ts'
import type { Config } from '../platform/config.ts'

/** The settings, and for what they leave out the servers of the product that runs on this machine. */
export const localSettings = async (config: Config): Promise<Config> => {
  const run = await readRunFile(path.resolve(config.dataDir))
  if (run === undefined) return config
  return {
    ...config,
    kafkaBrokers: config.kafkaBrokers.length > 0 ? config.kafkaBrokers : run.kafkaBrokers.split(','),
    schemaRegistryUrl: config.schemaRegistryUrl || run.schemaRegistryUrl,
    databaseUrl: config.databaseUrl || run.databaseUrl,
    s3Endpoint: config.s3Endpoint || run.s3Endpoint,
    s3AccessKeyId: config.s3AccessKeyId || run.s3AccessKeyId,
    s3SecretAccessKey: config.s3SecretAccessKey || run.s3SecretAccessKey,
  }
}
