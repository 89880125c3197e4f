import { deriveId } from '../../../platform/ids.ts'
import type { Codec } from '../../codec/avro.ts'
import type { Processor } from '../../processor.ts'
import type { TaskLog, TaskLogWriter } from '../../run/task-log.ts'
import { type ChangelogRecord, type Entry, fromRecord, isPosition, toRecord } from '../../task/changelog.ts'
import { History } from '../../task/history.ts'
import type { Batch } from '../../task/journal.ts'
import { Replay } from '../../task/replay.ts'
import { type AskedEffect, Step } from '../../task/step.ts'
import { TaskCore } from '../../task/task-core.ts'
import { MemoryLog, type MemoryLogSettings } from '../memory-log.ts'
import {
  MemoryProducer,
  type MemoryTaskLogSettings,
  memoryTaskLog,
  type Request,
  recordsOf,
} from '../memory-task-log.ts'

/**
 * Errors that an engine like this one can have, planted from outside: around its log, in its declaration, on one method.
 * Each must be found by the simulation, or the simulation is not worth its seconds (planted-bugs.test.ts).
 */
export interface PlantedBug {
  readonly processor?: (processor: Processor) => Processor
  readonly taskLog?: (taskLog: TaskLog, place: Place) => TaskLog
  readonly log?: (settings: MemoryLogSettings) => MemoryLog
  /** Plants what cannot be planted otherwise; returns how to take it out again. */
  readonly plant?: () => () => void
}

export interface Place extends MemoryTaskLogSettings {
  readonly processor: Processor
  /** Knows every schema. */
  readonly codec: Codec
  /** Name of the process that has this log. */
  readonly process: string
}

export const PLANTED_BUGS: Readonly<Record<string, PlantedBug>> = {
  'the position is committed in a transaction of its own': {
    taskLog: (log) =>
      committing(log, async (writer, { outputs, changelog }) => {
        await writer.commit({ outputs, changelog: changelog.filter((record) => !isPosition(record)) })
        await writer.commit({ outputs: [], changelog: changelog.filter(isPosition) })
      }),
  },
  'a batch is merged into the memory before its commit is known': {
    taskLog: (log) => {
      const merged = new Map<string, Buffer | null>()
      const eager = committing(log, async (writer, batch) => {
        for (const { key, value } of batch.changelog) merged.set(key, value)
        await writer.commit(batch)
      })
      return {
        ...eager,
        readChangelog: async (onRecords, fromOffset) => {
          const range = await log.readChangelog(onRecords, fromOffset)
          const { beginning, next } = range
          await onRecords(
            [...merged].map(([key, value]) => ({ key, value })),
            { from: beginning, next, end: next },
          )
          return range
        },
      }
    },
  },
  'a producer is used again after an error': { taskLog: reusingProducer },
  'a pending effect is dropped on restore': {
    taskLog: (log, place) => restoring(log, place, (entry) => (entry.kind === 'effect' ? null : entry)),
  },
  'the numbers of reports are not checked': {
    plant: () => {
      const { report } = TaskCore.prototype
      TaskCore.prototype.report = function (this: TaskCore, effectId, _n, value, nowMs) {
        const next = (this.effect(effectId)?.record.resumeFrom ?? 0) + 1
        return report.call(this, effectId, next, value, nowMs)
      }
      return () => {
        TaskCore.prototype.report = report
      }
    },
  },
  'attempts are not counted over a crash': {
    taskLog: (log, place) =>
      restoring(log, place, (entry) =>
        entry.kind === 'effect' && entry.value !== null
          ? { ...entry, value: { ...entry.value, runs: 0, unproven: 0 } }
          : entry,
      ),
  },
  'a ce_id does not depend on the processor': { processor: (processor) => ({ ...processor, name: '' }) },
  'the marker of a closed key is lost': {
    taskLog: (log, place) => restoring(log, place, (entry) => (entry.kind === 'closed' ? null : entry)),
  },
  'every process has a transactional id of its own': {
    taskLog: (_log, place) => memoryTaskLog({ ...place, transactionalId: `${place.transactionalId}.${place.process}` }),
  },
  'records are read that were never committed': { log: (settings) => new UncommittedLog(settings) },
  'a timer is forgotten on restore': {
    taskLog: (log, place) => restoring(log, place, (entry) => (entry.kind === 'timer' ? null : entry)),
  },
  'a half-forgotten memory passes for a whole one': {
    plant: () => replacing(Replay.prototype, 'isForgetting', { get: () => false }),
  },
  'a changelog that lost its beginning passes for a whole one': {
    plant: () => {
      const { needsReplay } = TaskCore.prototype
      const value = function (this: TaskCore) {
        return needsReplay.call(this, 0n)
      }
      return replacing(TaskCore.prototype, 'needsReplay', { value })
    },
  },
  'a replay does not ask what was done before': {
    plant: () => replacing(History.prototype, 'add', { value: () => undefined }),
  },
  'an outcome that a replay meets confirms nothing': {
    processor: (processor) => ({ ...processor, confirmedBy: {} }),
  },
  'ids of effects count over all names': { plant: countOverAllNames },
  'a task is given up without a word': {
    processor: (processor) => ({ ...processor, behaviour: { ...processor.behaviour, closed: null } }),
  },
}

/** Puts something else in the place of a method or property; returns how to put it back. */
const replacing = <T extends object>(prototype: T, name: keyof T, instead: PropertyDescriptor): (() => void) => {
  const before = Object.getOwnPropertyDescriptor(prototype, name) as PropertyDescriptor
  Object.defineProperty(prototype, name, { ...instead, configurable: true })
  return () => Object.defineProperty(prototype, name, before)
}

/** The place in the list of what the step asks for by then, which a cancelled effect leaves. */
function countOverAllNames(): () => void {
  const { perform } = Step.prototype
  const { get } = Object.getOwnPropertyDescriptor(Step.prototype, 'performs') as { get(): readonly AskedEffect[] }
  const ids = new WeakMap<AskedEffect, string>()
  const putBack = [
    replacing(Step.prototype, 'perform', {
      value: function (this: Step, name: string, input: unknown) {
        const id = deriveId('planted', this.origin.identity, get.call(this).length)
        perform.call(this, name, input)
        ids.set(get.call(this).at(-1) as AskedEffect, id)
        return id
      },
    }),
    replacing(Step.prototype, 'performs', {
      get(this: Step) {
        return get.call(this).map((asked) => ({ ...asked, id: ids.get(asked) ?? asked.id }))
      },
    }),
  ]
  return () => {
    for (const put of putBack) put()
  }
}

/** The log with other commits. */
const committing = (log: TaskLog, commit: (writer: TaskLogWriter, batch: Batch) => Promise<void>): TaskLog => ({
  ...log,
  open: async () => {
    const writer = await log.open()
    return { commit: (batch) => commit(writer, batch), close: () => writer.close() }
  },
})

/** The log with other memories. */
const restoring = (log: TaskLog, { codec, processor }: Place, change: (entry: Entry) => Entry | null): TaskLog => {
  const changed = (record: ChangelogRecord): readonly ChangelogRecord[] => {
    const entry = fromRecord(record, codec, processor.state)
    const other = change(entry)
    if (other === entry) return [record]
    return other === null ? [] : [toRecord(other, codec, processor.state)]
  }
  return {
    ...log,
    readChangelog: (onRecords, from) =>
      log.readChangelog((all, progress) => onRecords(all.flatMap(changed), progress), from),
  }
}

function reusingProducer(log: TaskLog, { log: broker, transactionalId, changelog, task, request }: Place): TaskLog {
  const send = request as Request
  let producer: MemoryProducer | null = null
  return {
    ...log,
    open: async () => {
      const known = producer
      // "Abort and go on", as one would with a database.
      await known?.end('aborted').catch(() => undefined)
      const current =
        known ??
        new MemoryProducer(broker, await send('initProducer', () => broker.initProducer(transactionalId)), send)
      producer = current
      return { commit: (batch) => current.transact(recordsOf(batch, changelog, task)), close: async () => undefined }
    },
  }
}

class UncommittedLog extends MemoryLog {
  override fetch(...[topic, partition, from, limit]: Parameters<MemoryLog['fetch']>): ReturnType<MemoryLog['fetch']> {
    return this.fetchUncommitted(topic, partition, from, limit ?? Number.POSITIVE_INFINITY)
  }
}
