import { randomUUID } from 'node:crypto'
import { readConfig, requireSettings } from '../../platform/config.ts'
import { ensureBucket } from '../bucket.ts'
import { createPresignClient, createS3Client, type S3Client, type S3Settings, s3SettingsOf } from '../s3-client.ts'

/** A bucket of its own on the S3 server that the environment names, for one test file. */
export interface ScratchBucket {
  readonly bucket: string
  readonly settings: S3Settings
  readonly s3: S3Client
  readonly presigner: S3Client
}

export const scratchBucket = async (): Promise<ScratchBucket> => {
  const config = readConfig()
  requireSettings(config, ['s3Endpoint', 's3AccessKeyId', 's3SecretAccessKey'])
  const settings = s3SettingsOf(config)
  const s3 = createS3Client(settings)
  const bucket = `test-${randomUUID()}`
  await ensureBucket(s3, bucket)
  return { bucket, settings, s3, presigner: createPresignClient(settings) }
}
