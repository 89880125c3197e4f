import { systemClock } from '../../platform/clock.ts'
import { createLogger } from '../../platform/log.ts'
import { createKafka } from '../../runtime/kafka/client.ts'
import { createPartitionReader } from '../../runtime/kafka/partition-reader.ts'
import { bound, run } from '../../runtime/run/run.ts'
import { CLOCK_MS, type FoldNames, foldCodec, foldProcessor } from './fold.ts'

/** The product's engine with the bench's fold, as a process of its own: `node fold-process.ts <FoldProcess as JSON>`. */
export interface FoldProcess extends FoldNames {
  readonly brokers: readonly string[]
  readonly appId: string
}

const { brokers, appId, ...names } = JSON.parse(process.argv[2] ?? '{}') as FoldProcess
const log = createLogger(names.name, 'error')
const kafka = createKafka({ brokers, clientId: names.name, logger: log })
const reader = await createPartitionReader(kafka)
const running = await run([bound(foldProcessor(names))], {
  kafka,
  reader,
  codec: foldCodec(),
  learn: (id) => Promise.reject(new RangeError(`there is no schema ${id}`)),
  appId,
  instanceId: String(process.pid),
  clock: { ...systemClock, now: () => CLOCK_MS },
  log,
})
const untilReady = setInterval(() => {
  if (!running.isReady) return
  clearInterval(untilReady)
  console.log('ready')
}, 5)
/** `--expose-gc`: asked with any message, it answers with what is left after a full collection. */
process.on('message', () => {
  globalThis.gc?.()
  process.send?.(process.memoryUsage().heapUsed)
})
process.on('SIGTERM', () => {
  const stop = async () => {
    await running.stop()
    await reader.close()
  }
  void stop().then(() => process.exit(0))
})
