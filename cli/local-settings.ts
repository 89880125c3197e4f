import path from 'node:path'
import { type RunFile, readRunFile } from '../local/run-file.ts'
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
    ...(config.s3AccessKeyId === '' && s3KeyOf(run)),
  }
}

const s3KeyOf = ({ s3AccessKeyId, s3SecretAccessKey, s3SessionToken }: RunFile) => ({
  s3AccessKeyId,
  s3SecretAccessKey,
  s3SessionToken,
})
