/**
 * A rebuild: fold the log from its first record into a second version of the tables, beside the live one, and swap.
 *
 *   1. tables of version N+1, without indexes
 *   2. fold from offset 0 (to where the live version is, when both are to be compared; else to the end of the log)
 *   3. indexes
 *   4. verify: in one snapshot, the positions and hashes of the live version; fold on to exactly these positions; hash
 *   5. fold on to the end, and swap the views in one transaction
 *
 * Nothing reads the new version before the swap and nothing but these tables is touched, so a rebuild may be stopped at
 * any point, and what it leaves behind is dropped by the next one. Only projections are replayed like this: no FFmpeg
 * runs, nothing is written to S3.
 */
import type { Client } from 'pg'
import { BadInputError } from '../../platform/errors.ts'
import type { PartitionReader } from '../../runtime/kafka/partition-reader.ts'
import { type Difference, firstDifferences } from './differences.ts'
import { type FeedSources, feed } from './feed.ts'
import type { Projection } from './projection.ts'
import { compareTable, type TableComparison } from './table-hash.ts'
import { createIndexes, createNextVersion, dropBuilding, findVersion, swapToBuilding } from './versions.ts'

export interface RebuildSources extends FeedSources {
  readonly reader: Pick<PartitionReader, 'tail' | 'offsets'>
  /** Two connections of their own: for the versions and the new one's tables, and for the snapshot of the live one. */
  readonly pg: Client
  readonly snapshot: Client
  /** Partitions of the topic that the projection reads. */
  readonly partitions: number
}

export interface RebuildProgress {
  /** Offsets passed, and how many there are to pass: an estimate of the records, for offsets have gaps. */
  readonly done: number
  readonly total: number
  readonly events: number
}

export interface Verification {
  readonly equal: boolean
  readonly tables: readonly TableComparison[]
  /** The first rows that differ, per table. */
  readonly differences: readonly Difference[]
}

export interface RebuildOptions {
  readonly verify: boolean
  readonly signal: AbortSignal
  onProgress?(progress: RebuildProgress): void
  /** The last word before the swap; false drops what was built. */
  confirm(verification: Verification | undefined): Promise<boolean>
}

export interface RebuildResult {
  readonly version: number
  readonly events: number
  readonly verification: Verification | undefined
  readonly swapped: boolean
}

const SHOWN_DIFFERENCES = 20

/**
 * Throws BadInputError REBUILD_RUNNING when another rebuild of this projection is at work, and what Kafka and
 * PostgreSQL throw; then the live version is as it was.
 */
export const rebuild = async (
  sources: RebuildSources,
  projection: Projection,
  options: RebuildOptions,
): Promise<RebuildResult> => {
  await lockRebuild(sources.pg, projection)
  const version = await createNextVersion(sources.pg, projection)
  const progress = meter(options)
  const foldTo = async (targets: readonly bigint[]): Promise<void> => {
    progress.towards(targets)
    await Promise.all(
      targets.map((until, partition) =>
        feed(
          sources,
          { projection, version, partition },
          { notify: false, until, ...progress.of(partition), signal: options.signal },
        ),
      ),
    )
    options.signal.throwIfAborted()
  }
  await foldTo(options.verify ? await livePositions(sources.pg, sources, projection) : await endOf(sources, projection))
  await createIndexes(sources.pg, projection, version)
  const verification = options.verify ? await verify(sources, projection, version, foldTo) : undefined
  const swapped = await options.confirm(verification)
  if (swapped) {
    await foldTo(await endOf(sources, projection))
    await swapToBuilding(sources.pg, projection)
  } else {
    await dropBuilding(sources.pg, projection)
  }
  return { version, events: progress.events(), verification, swapped }
}

const verify = async (
  sources: RebuildSources,
  projection: Projection,
  version: number,
  foldTo: (targets: readonly bigint[]) => Promise<void>,
): Promise<Verification> => {
  const { pg, snapshot } = sources
  await snapshot.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL timezone = 'UTC'")
  try {
    const live = { pg: snapshot, version: await findVersion(snapshot, projection, 'live') }
    await foldTo(await livePositions(snapshot, sources, projection))
    await pg.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL timezone = 'UTC'")
    const rebuilt = { pg, version }
    const tables: TableComparison[] = []
    const differences: Difference[] = []
    for (const table of Object.keys(projection.tables)) {
      const comparison = await compareTable(projection, table, live, rebuilt)
      tables.push(comparison)
      if (!comparison.equal) {
        differences.push(...(await firstDifferences(projection, table, live, rebuilt, SHOWN_DIFFERENCES)))
      }
    }
    return { equal: tables.every(({ equal }) => equal), tables, differences }
  } finally {
    await Promise.all([pg.query('ROLLBACK'), snapshot.query('ROLLBACK')])
  }
}

/** Held until the connection ends: a second rebuild would drop what the first one builds. */
const lockRebuild = async (pg: Client, { name }: Projection) => {
  const { rows } = await pg.query<{ free: boolean }>(
    "SELECT pg_try_advisory_lock(hashtext('reelstream.rebuild'), hashtext($1)) AS free",
    [name],
  )
  if (rows[0]?.free) return
  throw new BadInputError('REBUILD_RUNNING', `Another rebuild of ${name} is at work`, { facts: { projection: name } })
}

/** Where the live version is, per partition. */
const livePositions = async (pg: Client, { partitions }: RebuildSources, projection: Projection): Promise<bigint[]> => {
  const { rows } = await pg.query<{ partition: number; next_offset: string }>(
    'SELECT "partition", next_offset FROM read.positions WHERE projection = $1 AND topic = $2',
    [projection.name, projection.reads.name],
  )
  const positions = new Map(rows.map((row) => [row.partition, BigInt(row.next_offset)]))
  return Array.from({ length: partitions }, (_, partition) => positions.get(partition) ?? 0n)
}

const endOf = ({ reader, partitions }: RebuildSources, projection: Projection): Promise<bigint[]> =>
  Promise.all(
    Array.from(
      { length: partitions },
      async (_, partition) => (await reader.offsets(projection.reads.name, partition)).end,
    ),
  )

const meter = ({ onProgress }: RebuildOptions) => {
  const done: number[] = []
  let total = 0
  let events = 0
  const report = () => onProgress?.({ done: done.reduce((sum, each) => sum + each, 0), total, events })
  return {
    events: () => events,
    towards(targets: readonly bigint[]) {
      total = targets.reduce((sum, each) => sum + Number(each), 0)
    },
    of: (partition: number) => ({
      onPosition(position: bigint, count: number) {
        done[partition] = Number(position)
        events += count
        report()
      },
    }),
  }
}
