import { randomUUID } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { KafkaCluster } from '../../local/kafka-cluster.ts'
import { BugError, UpstreamError } from '../../platform/errors.ts'
import { silentLogger } from '../../platform/log.ts'
import { createKafka, type Kafka } from '../../runtime/kafka/client.ts'
import { createIdempotentProducer } from '../../runtime/kafka/idempotent-producer.ts'
import { createPartitionReader } from '../../runtime/kafka/partition-reader.ts'
import { ensureTopics } from '../../runtime/kafka/topics.ts'
import { initialPositions } from '../../runtime/run/initial-positions.ts'
import { changelogOf } from '../../runtime/run/kafka-task-log.ts'
import { type EngineProcess, startEngine } from './engine-process.ts'
import { type AckedInput, type Load, startLoad } from './load.ts'
import { createObserver, type Observer } from './observer.ts'
import { recoveryMs } from './recovery.ts'
import { type Tally, tallyCodec, tallyOf } from './tally.ts'
import { isSettled, judge, type Verdict } from './verdict.ts'

/** What all trials of a run share. */
export interface Stage {
  readonly cluster: KafkaCluster
  readonly dataDir: string
  readonly sessionTimeoutMs: number
  /** Inputs per second. */
  readonly perSecond: number
  readonly say: (line: string) => void
}

export interface TrialOptions {
  readonly partitions?: number
  readonly keys?: number
  /** Settings of the changelog over `cleanup.policy=compact`. */
  readonly changelog?: Readonly<Record<string, string>>
  /** Ports that the processes connect to instead of the brokers' own. */
  readonly detours?: Readonly<Record<string, number>>
}

/**
 * One scenario's world: topics of its own, a load on them, the processes that answer it, and an observer. Faults are
 * marked when they happen; the end waits until nothing more is to come and judges what is in the log.
 */
export interface Trial {
  /** Name of this one; ends every name it gives. */
  readonly run: string
  readonly kafka: Kafka
  readonly tally: Tally
  readonly partitions: number
  readonly observer: Observer
  readonly load: Load
  /** Every process that was started, in order. */
  readonly processes: readonly EngineProcess[]
  /** Starts one; resolves when it is a member with tasks, all of them open. */
  start(): Promise<EngineProcess>
  /** The same, without waiting. */
  launch(): EngineProcess
  /** Notes that something breaks now. */
  fault(): void
  /** Resolves when this many more answers are in the log, and at least one more of every task. */
  progress(answers?: number): Promise<void>
  /** Ends the load, waits until every input is answered and judges. The processes live on until `close`. */
  finish(): Promise<Outcome>
  /** Sum of the end offsets of the changelog: how many records it would have without compaction, markers included. */
  changelogEnd(): Promise<bigint>
  /** Ends whatever still runs, at once. */
  close(): Promise<void>
}

export interface Outcome extends Verdict {
  readonly sent: number
  readonly acked: number
  readonly faultCount: number
  /** One per fault after which anything came out. */
  readonly recoveriesMs: readonly number[]
  /** Records that the changelog still has. */
  readonly changelogRecords: number
}

const PARTITIONS = 4
const KEYS = 200
const POLL_MS = 100
/** Without an answer for this long a trial will not get any. */
const STALLED_MS = 60_000
/** What a zombie may still want to say after everything is settled. */
const LATE_WORDS_MS = 1_000

export const openTrial = async (stage: Stage, name: string, options: TrialOptions = {}): Promise<Trial> => {
  const { cluster, dataDir, sessionTimeoutMs, perSecond } = stage
  const { partitions = PARTITIONS, keys = KEYS, detours = {} } = options
  const run = `${name}-${randomUUID().slice(0, 8)}`
  const logDir = path.join(dataDir, 'trials', run)
  mkdirSync(logDir, { recursive: true })
  const kafka = createKafka({ brokers: cluster.addresses, clientId: `chaos-${run}`, logger: silentLogger })
  const tally = tallyOf(run)
  const codec = tallyCodec()
  const reader = await createPartitionReader(kafka, { patienceMs: STALLED_MS })
  await createTopics(kafka, tally, partitions, options.changelog ?? {})
  const producer = createIdempotentProducer(kafka)
  await producer.send(await initialPositions([tally.processor], () => partitions, reader, codec))
  await producer.close()

  const observer = createObserver(tally, partitions, codec, reader)
  const load = startLoad({ kafka, codec, topic: tally.inputs, keys, perSecond })
  const processes: EngineProcess[] = []
  const faultsAtMs: number[] = []
  let acked: readonly AckedInput[] | undefined

  const launch = (): EngineProcess => {
    const process = startEngine(`${name}-${processes.length + 1}`, logDir, {
      run,
      brokers: cluster.addresses,
      sessionTimeoutMs,
      detours,
    })
    processes.push(process)
    return process
  }

  return {
    run,
    kafka,
    tally,
    partitions,
    observer,
    load,
    processes,
    launch,
    async start() {
      const process = launch()
      await until(`${process.name} has its tasks`, () => {
        if (process.hasExited()) throw new BugError('CHAOS_PROCESS_ENDED', `${process.name} ended; see ${logDir}`)
        return process.status()?.isReady === true
      })
      return process
    },
    fault: () => void faultsAtMs.push(Date.now()),
    async progress(answers = 1) {
      await observer.catchUp()
      const enough = observer.answers() + answers
      const before = observer.writtenAtMs.map(({ length }) => length)
      await until(`${answers} answers more`, async () => {
        await observer.catchUp()
        const everyTask = observer.writtenAtMs.every(({ length }, task) => length > (before[task] ?? 0))
        return everyTask && observer.answers() >= enough
      })
    },
    async finish() {
      const sent = load.sent()
      acked = await load.stop()
      await settle(observer)
      const { accounts, leftovers, records } = await observer.readChangelog()
      const verdict = judge({ ...observer.seen, accounts, leftovers }, acked)
      const recoveriesMs = faultsAtMs.flatMap((at) => recoveryMs(observer.writtenAtMs, at) ?? [])
      const faultCount = faultsAtMs.length
      return { ...verdict, sent, acked: acked.length, faultCount, recoveriesMs, changelogRecords: records }
    },
    async changelogEnd() {
      const tasks = Array.from({ length: partitions }, (_, task) => task)
      const ranges = await Promise.all(tasks.map((task) => reader.offsets(changelogOf(tally.processor), task)))
      return ranges.reduce((sum, { end }) => sum + end, 0n)
    },
    async close() {
      if (acked === undefined) await load.stop()
      for (const process of processes) if (!process.hasExited()) process.signal('SIGKILL')
      await Promise.all(processes.map(({ exited }) => exited))
      await reader.close()
    },
  }
}

/** Resolves when the condition holds. @throws UpstreamError CHAOS_TIMEOUT */
export const until = async (
  what: string,
  holds: () => boolean | Promise<boolean>,
  timeoutMs = STALLED_MS,
): Promise<void> => {
  for (const end = Date.now() + timeoutMs; !(await holds()); await delay(POLL_MS)) {
    if (Date.now() > end) throw new UpstreamError('CHAOS_TIMEOUT', `not within ${timeoutMs} ms: ${what}`)
  }
}

const createTopics = async (
  kafka: Kafka,
  tally: Tally,
  partitions: number,
  changelog: Readonly<Record<string, string>>,
): Promise<void> => {
  const replicationFactor = 3
  const spec = (name: string, config: Readonly<Record<string, string>>) => ({
    name,
    partitions,
    replicationFactor,
    config,
  })
  await ensureTopics(kafka, [
    spec(tally.inputs, {}),
    spec(tally.answers, {}),
    spec(changelogOf(tally.processor), { 'cleanup.policy': 'compact', ...changelog }),
  ])
}

/** Waits until nothing more is to come, or nothing has come for long. */
const settle = async (observer: Observer): Promise<void> => {
  let lastAnswers = -1
  let lastAtMs = Date.now()
  for (;;) {
    await observer.catchUp()
    if (isSettled(observer.seen)) break
    if (observer.answers() !== lastAnswers) lastAtMs = Date.now()
    lastAnswers = observer.answers()
    if (Date.now() - lastAtMs > STALLED_MS) return
    await delay(POLL_MS)
  }
  await delay(LATE_WORDS_MS)
  await observer.catchUp()
}
