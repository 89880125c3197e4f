import type { Clock } from '../../platform/clock.ts'
import type { Config } from '../../platform/config.ts'
import type { Database } from '../../prisma/client.ts'
import type { Codec } from '../../runtime/codec/avro.ts'
import type { Kafka } from '../../runtime/kafka/client.ts'
import type { IdempotentProducer } from '../../runtime/kafka/idempotent-producer.ts'
import type { PartitionReader } from '../../runtime/kafka/partition-reader.ts'
import type { S3Client } from '../../storage/s3-client.ts'
import { kafkaClaimProducer } from '../kafka-claim-producer.ts'
import type { Patience } from './decide.ts'
import { kafkaLogHorizon } from './log-horizon.ts'
import type { ReconcileWorld } from './reconcile.ts'
import { prismaReconcileReads } from './reconcile-reads.ts'

/** Clients that a composition root has made, and will close. */
export interface ReconcilerClients {
  readonly database: Database
  readonly producer: IdempotentProducer
  readonly codec: Codec
  readonly kafka: Kafka
  readonly reader: PartitionReader
  readonly s3: S3Client
  readonly clock: Clock
}

/** The wiring that the gateway, the one-origin front and the command line share. */
export const reconcilerWorld = (config: Config, clients: ReconcilerClients): ReconcileWorld => {
  const { database, producer, codec, kafka, reader, s3, clock } = clients
  const reads = prismaReconcileReads(database)
  return {
    s3,
    bucket: config.s3Bucket,
    reads,
    horizon: kafkaLogHorizon({ kafka, reader, reads }),
    claims: kafkaClaimProducer({ producer, codec, clock, source: '/reelstream/reconciler' }),
    clock,
  }
}

const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS

/** Long enough for gateways that were away; the effort then grows with the new videos, not with all there are. */
const PLAYLISTS_FOR_MS = 7 * DAY_MS

export const reconcilerSettings = (config: Config): Patience & { readonly everyMs: number } => ({
  everyMs: config.reconcileMinutes * MINUTE_MS,
  graceMs: config.reconcileGraceMinutes * MINUTE_MS,
  retentionMs: config.keepDeletedDays * DAY_MS,
  playlistsForMs: PLAYLISTS_FOR_MS,
})
