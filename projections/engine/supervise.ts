/**
 * Keeps every version that should be fed, fed: the live and the previous one of each projection, from every partition.
 *
 * What should run is read from engine.versions, whenever a version changed its place and every few seconds: so a rebuild
 * in another process needs nobody's restart, and a database that was emptied and migrated again is filled again. A loop that fails is started again, from where its
 * tables are, for ever and with growing pauses; what it failed with is in /readyz meanwhile. A second process that does
 * the same is harmless: the positions let one of them win, and the other stands by.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from 'pg'
import { ConfigError, describeError, isRetryable } from '../../platform/errors.ts'
import type { Logger } from '../../platform/log.ts'
import { unlessAborted } from '../../platform/unless-aborted.ts'
import type { PartitionReader } from '../../runtime/kafka/partition-reader.ts'
import type { Topic } from '../../schemas/topics.ts'
import type { FeedKey } from './commit-batch.ts'
import { type FeedSources, feed } from './feed.ts'
import { PositionMovedError } from './position-moved.ts'
import type { Projection } from './projection.ts'
import { createVersionListener } from './version-listener.ts'
import { definitionOf, installProjection, type Version } from './versions.ts'

export interface SuperviseSources extends FeedSources {
  readonly reader: Pick<PartitionReader, 'tail' | 'offsets'>
  readonly projections: readonly Projection[]
  partitionsOf(topic: Topic): number
  /** A fresh connection; the caller of this function ends it. */
  connect(): Promise<Client>
  readonly log: Logger
}

export interface FeedStatus {
  readonly projection: string
  readonly version: number
  readonly state: Version['state']
  readonly partition: number
  readonly position: number
  /** It has passed everything that was in the log when it began. */
  readonly caughtUp: boolean
  /** Why it does not run at the moment, or null. */
  readonly error: string | null
}

export interface Supervisor {
  /** Ready: every loop runs and has caught up once, or stands by for another process. */
  status(): { readonly ready: boolean; readonly detail: readonly FeedStatus[]; readonly error: string | null }
  /** Resolves when every loop has ended after its last commit, whether Kafka answers meanwhile or not. */
  stop(): Promise<void>
}

/** Notices come at once; this is for what gives none, as a database that was emptied. */
const RECONCILE_MS = 5_000
const FIRST_PAUSE_MS = 200
const LONGEST_PAUSE_MS = 5_000
/** How long the process that lost a race leaves the partition to the other one. */
const STAND_BY_MS = 2_000

export const superviseProjections = (sources: SuperviseSources): Supervisor => {
  const loops = new Map<string, Loop>()
  const stopping = new AbortController()
  const listener = createVersionListener(sources.connect)
  let error: string | null = 'not started'

  const reconcile = async (): Promise<void> => {
    const { wanted, outdated } = await plan(sources)
    for (const [name, loop] of loops) if (!wanted.has(name)) loop.stop.abort()
    for (const [name, { key, state }] of wanted) {
      if (loops.has(name)) continue
      const loop = startLoop(sources, key, state)
      loops.set(name, loop)
      void loop.ended.then(() => loops.delete(name))
    }
    if (outdated.length > 0) throw rebuildNeeded(outdated)
  }

  const run = async (): Promise<void> => {
    for (let pauseMs = FIRST_PAUSE_MS; !stopping.signal.aborted; ) {
      try {
        const { changed } = await listener.listen()
        await reconcile()
        error = null
        pauseMs = FIRST_PAUSE_MS
        await Promise.race([changed, pause(RECONCILE_MS, stopping.signal)])
      } catch (failure) {
        error = describeError(failure)
        sources.log.warn({ err: failure }, 'projections cannot be started')
        await pause(pauseMs, stopping.signal)
        pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)
      }
    }
  }
  const running = run()

  return {
    status() {
      const detail = Array.from(loops.values(), (loop) => loop.status())
      const fine = detail.every((each) => each.error === null && each.caughtUp)
      return { ready: error === null && detail.length > 0 && fine, detail, error }
    },
    async stop() {
      stopping.abort()
      await running
      await listener.close()
      for (const loop of loops.values()) loop.stop.abort()
      await Promise.all(Array.from(loops.values(), (loop) => loop.ended))
    },
  }
}

interface Loop {
  readonly stop: AbortController
  readonly ended: Promise<void>
  status(): FeedStatus
}

interface WantedLoop {
  readonly key: FeedKey
  readonly state: Version['state']
}

/** What should run now, and which projections cannot because their live tables were made from another tables.sql. */
const plan = async (sources: SuperviseSources): Promise<{ wanted: Map<string, WantedLoop>; outdated: string[] }> => {
  const wanted = new Map<string, WantedLoop>()
  const outdated: string[] = []
  const all = await installedVersions(sources)
  for (const projection of sources.projections) {
    const definition = await definitionOf(projection)
    const partitions = sources.partitionsOf(projection.reads)
    const fed = all.filter((each) => isFed(each, projection, definition))
    if (!fed.some(({ state }) => state === 'live')) outdated.push(projection.name)
    for (const { version, state } of fed) {
      for (let partition = 0; partition < partitions; partition++) {
        const key = { projection, version, partition }
        wanted.set(`${projection.name}/${version}/${state}/${partition}`, { key, state })
      }
    }
  }
  return { wanted, outdated }
}

const isFed = (each: Version, projection: Projection, definition: string): boolean =>
  each.projection === projection.name && each.state !== 'building' && each.definition === definition

/** Makes version 1 of what is missing first: a new projection, or a database that was emptied. */
const installedVersions = async ({ db, projections, connect }: SuperviseSources): Promise<readonly Version[]> => {
  const read = () => db.$queryRaw<Version[]>`SELECT projection, version, state, definition FROM engine.versions`
  const isLive = (versions: Version[]) => (projection: Projection) =>
    versions.some((each) => each.projection === projection.name && each.state === 'live')
  const versions = await read()
  if (projections.every(isLive(versions))) return versions
  const pg = await connect()
  try {
    for (const projection of projections) await installProjection(pg, projection)
  } finally {
    await pg.end()
  }
  return read()
}

const rebuildNeeded = (outdated: readonly string[]): ConfigError =>
  new ConfigError(
    'REBUILD_NEEDED',
    `The tables are of another release: ${outdated.map((name) => `reelstream rebuild ${name}`).join(', ')}`,
  )

const startLoop = (sources: SuperviseSources, key: FeedKey, state: Version['state']): Loop => {
  const stop = new AbortController()
  const at = { position: 0n, end: undefined as bigint | undefined, error: null as string | null }
  return {
    stop,
    ended: runLoop(sources, key, state, stop.signal, at),
    status: () => ({
      projection: key.projection.name,
      version: key.version,
      state,
      partition: key.partition,
      position: Number(at.position),
      caughtUp: at.end !== undefined && at.position >= at.end,
      error: at.error,
    }),
  }
}

const runLoop = async (
  sources: SuperviseSources,
  key: FeedKey,
  state: Version['state'],
  signal: AbortSignal,
  at: { position: bigint; end: bigint | undefined; error: string | null },
): Promise<void> => {
  const facts = { projection: key.projection.name, version: key.version, partition: key.partition }
  let pauseMs = FIRST_PAUSE_MS
  const onPosition = (position: bigint, records: number) => {
    at.position = position
    if (records === 0) return
    at.error = null
    pauseMs = FIRST_PAUSE_MS
  }
  while (!signal.aborted) {
    try {
      at.end ??= (await unlessAborted(signal, sources.reader.offsets(key.projection.reads.name, key.partition))).end
      at.error = null
      await feed(sources, key, { notify: state === 'live', signal, onPosition })
    } catch (failure) {
      if (signal.aborted) return
      if (failure instanceof PositionMovedError) {
        sources.log.info(facts, 'another process feeds this partition')
        await pause(STAND_BY_MS * (0.5 + Math.random()), signal)
        continue
      }
      at.error = describeError(failure)
      const level = isRetryable(failure) ? 'warn' : 'error'
      sources.log[level]({ ...facts, err: failure, position: Number(at.position) }, 'projection stopped, trying again')
      await pause(pauseMs, signal)
      pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)
    }
  }
}

/** Ends early, and without an error, when the signal aborts. */
const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  sleep(ms, undefined, { signal }).catch(() => undefined)
