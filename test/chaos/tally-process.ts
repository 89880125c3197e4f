import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { systemClock } from '../../platform/clock.ts'
import { createLogger } from '../../platform/log.ts'
import { createKafka } from '../../runtime/kafka/client.ts'
import { createPartitionReader } from '../../runtime/kafka/partition-reader.ts'
import type { Executor } from '../../runtime/run/executors.ts'
import { bound, run } from '../../runtime/run/run.ts'
import { type Order, PIECES, type Piece, tallyCodec, tallyOf, unknownSchema } from './tally.ts'

/**
 * The processor of tally.ts in a process of its own, as the suite kills, freezes and starts it. What it is to do comes as
 * JSON in its first argument; it tells its parent which tasks it has, ten times a second and at once when it has got them,
 * and ends with it.
 */
export interface TallyProcessOptions {
  /** of the run, see tallyOf */
  readonly run: string
  readonly brokers: readonly string[]
  readonly sessionTimeoutMs: number
  /** Ports to connect to instead of the brokers' own, by the broker's port. */
  readonly detours: Readonly<Record<string, number>>
}

export interface TallyProcessStatus {
  readonly tasks: readonly number[]
  /** Tasks that have stopped for good, with their reasons. */
  readonly failures: readonly string[]
  readonly isReady: boolean
}

const STATUS_INTERVAL_MS = 100
/** Until its tasks are open for the first time: what takes only as long is seen, too. */
const OPENING_INTERVAL_MS = 5
const PIECE_MS = 5

const makePieces: Executor<Order, Order, Piece> = async ({ count }, { resumeFrom, report, signal }) => {
  for (let piece = resumeFrom + 1; piece <= PIECES; piece++) {
    await delay(PIECE_MS, undefined, { signal })
    await report(piece, { count, piece })
  }
  return { count }
}

const options = JSON.parse(process.argv[2] ?? '') as TallyProcessOptions
const log = createLogger('tally', 'info')
const kafka = createKafka({
  brokers: options.brokers,
  clientId: `tally-${process.pid}`,
  logger: log,
  socketFactory: ({ host, port, onConnect }) => connect(options.detours[port] ?? port, host, onConnect),
})
const reader = await createPartitionReader(kafka)
const running = await run([bound(tallyOf(options.run).processor, { make: makePieces })], {
  kafka,
  reader,
  codec: tallyCodec(),
  learn: unknownSchema,
  appId: `chaos-${options.run}`,
  instanceId: String(process.pid),
  clock: systemClock,
  log,
  sessionTimeoutMs: options.sessionTimeoutMs,
})

const tell = (): void => {
  const report = running.report()
  const status: TallyProcessStatus = {
    tasks: report.map(({ task }) => task),
    failures: report.flatMap(({ failure }) => failure ?? []),
    isReady: running.isReady,
  }
  process.send?.(status, undefined, undefined, () => undefined) // a parent that is gone needs no status
}
const tellLater = (): void => {
  tell()
  setTimeout(tellLater, running.isReady ? STATUS_INTERVAL_MS : OPENING_INTERVAL_MS)
}
tellLater()
process.once('disconnect', () => process.exit(1))
process.once('SIGTERM', () => {
  void running
    .stop()
    .then(() => reader.close())
    .then(() => process.exit(0))
})
