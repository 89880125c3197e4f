/**
 * Fetches many partitions with one long poll per broker, and can be interrupted.
 *
 * A long poll is what makes waiting cheap: the broker answers when there is something, and an idle process asks once in
 * four seconds. Its price: the partitions are named when it begins, and one that is added meanwhile (a task has opened, a
 * mailbox has room again) would wait for its end. A broker cannot be told to end it, and answers nothing else on that
 * connection before; so an interrupted poll is left behind together with its connection. That costs a few milliseconds,
 * which is why a poll gets a moment to end by itself, and why polls are short again after an interruption and grow back.
 *
 * Which partitions are wanted is asked anew for each poll: whoever owns the positions keeps them, this holds none. What
 * it fetches is handed over with the position it was fetched from; if that is not the position any more, it is stale.
 *
 * An error that may pass (a broker that restarts, a leader that moves) is tried again for ever, at most a second apart. A
 * position that the log does not hold concerns one partition: the others flow on.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Kafka } from 'kafkajs'
import { type FetchedPartition, type FetchPosition, fetchFrom, isWorthRetrying, leaderOf, recover } from './fetch.ts'
import { kafkaErrorOf, originOf } from './kafka-errors.ts'
import { hangUp, type KafkaCluster, openCluster } from './kafkajs.ts'

export interface PollHandlers {
  /** What should be fetched now, and from where. Asked before each poll. */
  wanted(): readonly FetchPosition[]
  /**
   * One partition of a poll. Where it ends is news even when nothing was found: an open transaction may hold back what is
   * before that. Must only take it over.
   */
  fetched(partition: FetchedPartition): void
  /** The log does not hold this position (any more). From now on it must not be wanted. */
  lost(position: FetchPosition, error: unknown): void
  /** An error that no repetition cures; nothing is fetched any more. Called once. */
  failed(error: unknown): void
}

export interface Poller {
  /** To be called when something is wanted that was not: it is fetched within some 10 ms. */
  wake(): void
  /** Whether something that is wanted cannot be fetched at the moment; it is being tried again. */
  isFailing(): boolean
  /** Ends all polls at once. No handler is called any more. */
  close(): Promise<void>
}

/**
 * How long the broker holds a poll that finds nothing, ms: below the request timeout of 4.5 s, which is how a broker that
 * has fallen silent is noticed.
 */
const LONGEST_WAIT_MS = 4000
/** The first wait, and the one after an interruption; doubled after each poll that found nothing. */
const SHORTEST_WAIT_MS = 10
/** How long a poll may still run when something else is wanted, ms. */
const GRACE_MS = 10
/** How long closing waits for a connection that is being made, ms. */
const CLOSE_MS = 500
const FIRST_REST_MS = 50
const LONGEST_REST_MS = 1000

interface Connection {
  readonly cluster: KafkaCluster
  readonly ready: Promise<void>
}

interface Poll {
  readonly positions: readonly FetchPosition[]
  /** It has failed, and is not repeated yet. */
  resting: boolean
}

/** Connects with the first poll. */
export const createPoller = (kafka: Kafka, handlers: PollHandlers): Poller => {
  const polls = new Map<string, Poll>()
  const timers = new Set<NodeJS.Timeout>()
  /** Brokers whose last poll has failed; NOBODY while none is known to ask. */
  const failing = new Set<string>()
  let connection: Connection | undefined
  let state: 'open' | 'failed' | 'closed' = 'open'
  let turning = false
  let turnAgain = false
  let waitMs = SHORTEST_WAIT_MS
  let restMs = FIRST_REST_MS

  const later = (act: () => void, ms: number): void => {
    const timer = setTimeout(() => {
      timers.delete(timer)
      act()
    }, ms)
    timers.add(timer)
  }

  const connected = async (): Promise<KafkaCluster> => {
    const cluster = connection?.cluster ?? openCluster(kafka)
    connection ??= { cluster, ready: cluster.connect() }
    try {
      await connection.ready
    } catch (error) {
      if (connection.cluster === cluster) connection = undefined
      throw error
    }
    return cluster
  }

  /** Starts a poll for each broker that leads something wanted and has none. */
  const turn = async (): Promise<void> => {
    if (turning) {
      turnAgain = true
      return
    }
    turning = true
    try {
      do {
        turnAgain = false
        await startPolls()
      } while (turnAgain)
    } finally {
      turning = false
    }
  }

  const startPolls = async (): Promise<void> => {
    const wanted = handlers.wanted()
    if (state !== 'open' || wanted.length === 0 || polls.has(NOBODY)) return
    try {
      const cluster = await connected()
      const led = await byLeader(cluster, wanted)
      if (state !== 'open' || connection?.cluster !== cluster) return
      for (const nodeId of failing) if (nodeId !== NOBODY && !led.has(nodeId)) failing.delete(nodeId)
      for (const [nodeId, positions] of led) {
        const running = polls.get(nodeId)
        if (running === undefined) start(cluster, nodeId, positions)
        else if (!positions.every((position) => covers(running, position))) interruptSoon(nodeId, running)
      }
    } catch (error) {
      // Nobody is known to lead it, or nobody is there.
      rest(NOBODY, { positions: wanted, resting: true }, error)
    }
  }

  const start = (cluster: KafkaCluster, nodeId: string, positions: readonly FetchPosition[]): void => {
    const poll: Poll = { positions, resting: false }
    polls.set(nodeId, poll)
    const isOver = (): boolean => state !== 'open' || polls.get(nodeId) !== poll
    fetchFrom(cluster, nodeId, positions, waitMs).then(
      (fetched) => {
        if (isOver()) return
        polls.delete(nodeId)
        restMs = FIRST_REST_MS
        failing.delete(nodeId)
        failing.delete(NOBODY)
        const isEmpty = fetched.every(({ fromOffset, nextOffset }) => nextOffset === fromOffset)
        if (isEmpty) waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)
        for (const each of fetched) handlers.fetched(each)
        void turn()
      },
      (error: unknown) => {
        if (!isOver()) rest(nodeId, poll, error)
      },
    )
  }

  const rest = (nodeId: string, poll: Poll, error: unknown): void => {
    if (state !== 'open') return
    const lost = lostPosition(poll.positions, error)
    if (lost !== undefined) {
      polls.delete(nodeId)
      handlers.lost(lost, error)
      void turn()
      return
    }
    if (!isWorthRetrying(error)) {
      state = 'failed'
      handlers.failed(error)
      return
    }
    poll.resting = true
    polls.set(nodeId, poll)
    failing.add(nodeId)
    const recovered = async (): Promise<void> => {
      if (connection !== undefined) await recover(connection.cluster, error)
      if (polls.get(nodeId) !== poll) return
      polls.delete(nodeId)
      await turn()
    }
    later(() => void recovered(), restMs * (0.5 + Math.random()))
    restMs = Math.min(restMs * 2, LONGEST_REST_MS)
  }

  const interruptSoon = (nodeId: string, poll: Poll): void => {
    waitMs = SHORTEST_WAIT_MS
    if (poll.resting) return
    later(() => {
      if (polls.get(nodeId) !== poll || poll.resting) return
      leaveBehind()
      void turn()
    }, GRACE_MS)
  }

  /** Polls that rest go on resting; they know no connection. */
  const leaveBehind = (): void => {
    for (const [nodeId, poll] of polls) if (!poll.resting) polls.delete(nodeId)
    void drop(connection)
    connection = undefined
  }

  return {
    wake: () => void turn(),
    isFailing: () => failing.size > 0,
    close: async () => {
      if (state === 'open') state = 'closed'
      for (const timer of timers) clearTimeout(timer)
      polls.clear()
      // One that is still connecting, to a broker that may be away, must not hold up whoever closes.
      await Promise.race([drop(connection), sleep(CLOSE_MS, undefined, { ref: false })])
    },
  }
}

/** Nobody waits for anything of it any more, so neither does the hanging up. */
const drop = async (connection: Connection | undefined): Promise<void> => {
  if (connection === undefined) return
  try {
    await connection.ready
    await hangUp(connection.cluster, LEFT_BEHIND)
  } catch {
    // it was never there, or is gone already
  }
}

/** In the place of a broker, while there is none to ask. */
const NOBODY = ''

/** Seen by polls that nobody waits for any more. */
const LEFT_BEHIND = new Error('the poll was left behind')

const byLeader = async (
  cluster: KafkaCluster,
  positions: readonly FetchPosition[],
): Promise<ReadonlyMap<string, readonly FetchPosition[]>> => {
  const led = new Map<string, FetchPosition[]>()
  for (const position of positions) {
    const nodeId = await leaderOf(cluster, position.topic, position.partition)
    led.set(nodeId, [...(led.get(nodeId) ?? []), position])
  }
  return led
}

/** The one of them that a fetch has failed for because the log does not hold it. */
const lostPosition = (positions: readonly FetchPosition[], error: unknown): FetchPosition | undefined => {
  if (kafkaErrorOf(error) !== 'OFFSET_OUT_OF_RANGE') return undefined
  const about = originOf(error) as Partial<FetchPosition>
  return positions.find(({ topic, partition }) => topic === about.topic && partition === about.partition)
}

const covers = (poll: Poll, { topic, partition, fromOffset }: FetchPosition): boolean =>
  poll.positions.some((each) => each.topic === topic && each.partition === partition && each.fromOffset === fromOffset)
