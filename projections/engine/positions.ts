import type { Database } from '../../prisma/client.ts'
import type { FeedKey } from './commit-batch.ts'

/** The offset to read next; 0 for a partition that this version has not begun. */
export const readPosition = async (db: Database, { projection, version, partition }: FeedKey): Promise<bigint> => {
  const topic = projection.reads.name
  await db.$executeRaw`
    INSERT INTO engine.positions (projection, version, topic, "partition", next_offset)
    VALUES (${projection.name}, ${version}, ${topic}, ${partition}, 0) ON CONFLICT DO NOTHING`
  const rows = await db.$queryRaw<{ next_offset: bigint }[]>`
    SELECT next_offset FROM engine.positions
    WHERE projection = ${projection.name} AND version = ${version} AND topic = ${topic} AND "partition" = ${partition}`
  return rows[0]?.next_offset ?? 0n
}
