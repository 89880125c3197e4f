import type { Clock } from '../../platform/clock.ts'
import type { Config } from '../../platform/config.ts'
import { createAuthenticator } from '../../platform/http/author-token.ts'
import type { SignInLimit } from '../../platform/http/client-policy.ts'
import type { Logger } from '../../platform/log.ts'
import type { SpanExporter } from '../../platform/span-exporter.ts'
import type { Database } from '../../prisma/client.ts'
import type { Codec } from '../../runtime/codec/avro.ts'
import type { IdempotentProducer } from '../../runtime/kafka/idempotent-producer.ts'
import type { S3Client } from '../../storage/s3-client.ts'
import { kafkaClaimProducer } from '../kafka-claim-producer.ts'
import type { GatewayOptions } from './app.ts'
import { DEFAULT_LIMITS } from './context.ts'
import { prismaUploadReads } from './prisma-upload-reads.ts'
import { createUploadHandles, uploadHandleSecret } from './upload-handle.ts'
import { s3UploadStore } from './upload-store.ts'

/** What a composition root has made; the clients it will close. */
export interface GatewayClients {
  readonly database: Database
  readonly producer: IdempotentProducer
  readonly codec: Codec
  readonly s3: S3Client
  /** From createPresignClient. */
  readonly presigner: S3Client
  readonly signIns: SignInLimit
  readonly clock: Clock
  readonly spans: SpanExporter
  readonly log: Logger
}

const HOUR_MS = 3_600_000

/**
 * The plugin's options from the settings and the clients: the wiring that server.ts and the one-origin front share.
 * @throws ConfigError JWT_SETTINGS, UPLOAD_HANDLE_SETTINGS
 */
export const gatewayOptions = (config: Config, clients: GatewayClients): GatewayOptions => {
  const { database, producer, codec, s3, presigner, signIns, clock, spans, log } = clients
  return {
    localSignInSecret: config.localSignIn && config.jwksUrl === '' ? config.jwtSecret : undefined,
    context: {
      reads: prismaUploadReads(database),
      claims: kafkaClaimProducer({ producer, codec, clock, spans }),
      store: s3UploadStore({ s3, presigner, bucket: config.s3Bucket, clock }),
      authenticator: createAuthenticator(config),
      signIns,
      handles: createUploadHandles(uploadHandleSecret(config)),
      limits: {
        ...DEFAULT_LIMITS,
        maxUploadBytes: config.maxUploadBytes,
        partSizeBytes: config.partSizeBytes,
        unsizedPartSizeBytes: config.unsizedPartSizeBytes,
        maxOpenUploads: config.maxOpenUploads,
        maxOpenBytes: config.maxOpenBytes,
        uploadLifeMs: Math.round(config.uploadExpiryHours * HOUR_MS),
      },
      clock,
      log,
      watchUrl: (videoId, origin) => `${origin}/v/${encodeURIComponent(videoId)}`,
    },
  }
}
