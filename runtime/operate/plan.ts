import type { Codec } from '../codec/avro.ts'
import type { LogRecord } from '../kafka/log-records.ts'
import { inputTopicsOf, type Processor } from '../processor.ts'
import type { TaskLog } from '../run/task-log.ts'
import { History } from '../task/history.ts'
import type { Remaining } from '../task/replay.ts'
import { TaskCore } from '../task/task-core.ts'

/** What a replay of a processor would come to. */
export interface ReplayPlan extends Remaining {
  /** Records that would be folded. */
  readonly records: number
  /** Effects that would be run, by name; and events that would be emitted, by type: none of either has happened. */
  readonly effectsByName: Readonly<Record<string, number>>
  readonly outputsByType: Readonly<Record<string, number>>
  /** Keys that would be blocked, with why. */
  readonly blocked: readonly { readonly key: string; readonly code: string; readonly detail: string }[]
}

/** Records folded between two looks at the rest of the process. */
const SLICE = 1_000

/** Replays every task in memory, from the beginning to the end as of now. Reads everything, writes nothing. */
export const planReplay = async (
  processor: Processor,
  codec: Codec,
  source: string,
  logs: ReadonlyMap<number, TaskLog>,
): Promise<ReplayPlan> => {
  const history = new History(processor, source)
  // All tasks write to the same topics.
  const [anyLog] = logs.values()
  await anyLog?.readOutputs((record, isFirst) => history.add(record, isFirst))
  const plan = {
    records: 0,
    outputs: 0,
    effects: 0,
    timers: 0,
    effectsByName: {} as Record<string, number>,
    outputsByType: {} as Record<string, number>,
    blocked: [] as { key: string; code: string; detail: string }[],
  }
  for (const [task, log] of logs) {
    const core = new TaskCore({ processor, codec, source, task, instanceId: 'plan' })
    core.needsReplay(0n)
    core.beginReplay(await log.inputRanges())
    core.forgetSome(1)
    core.remember(history)
    const fold = async (records: readonly LogRecord[]) => {
      for (const [index, record] of records.entries()) {
        if (core.fold(record, record.timestampMs)) plan.records += 1
        if (index % SLICE === 0) core.takeBatch()
      }
      core.takeBatch()
    }
    for (const topic of bootstrapFirst(processor)) await log.readInput(topic, core.position(topic) ?? 0n, fold)
    const remaining = core.remaining(Date.now())
    plan.outputs += remaining.outputs
    plan.effects += remaining.effects
    plan.timers += remaining.timers
    for (const { record } of core.effects()) count(plan.effectsByName, record.effect)
    for (const { headers } of core.held()) count(plan.outputsByType, headers.ce_type ?? '')
    plan.blocked.push(...core.blocked().map(({ key, code, detail }) => ({ key, code, detail })))
  }
  return plan
}

const bootstrapFirst = (processor: Processor): readonly string[] => {
  const first = processor.reads.filter(({ bootstrap }) => bootstrap).map(({ topic }) => topic.name)
  return [...new Set([...first, ...inputTopicsOf(processor)])]
}

const count = (counts: Record<string, number>, name: string): void => {
  counts[name] = (counts[name] ?? 0) + 1
}
