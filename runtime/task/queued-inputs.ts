import { BugError } from '../../platform/errors.ts'
import type { Codec } from '../codec/avro.ts'
import type { LogRecord } from '../kafka/log-records.ts'
import type { Outcome, Processor } from '../processor.ts'
import type { QueuedInput, Timer } from '../state/generated.ts'
import type { EffectLedger, LiveEffect } from './effect-ledger.ts'
import type { TaskMemory } from './task-memory.ts'

/** What a task may be told, one step each. */
export type Input =
  | { readonly kind: 'record'; readonly record: LogRecord }
  | { readonly kind: 'report'; readonly effectId: string; readonly n: number; readonly value: unknown }
  | { readonly kind: 'outcome'; readonly effectId: string; readonly outcome: Outcome<unknown> }
  | { readonly kind: 'timer'; readonly key: string; readonly name: string; readonly timer: Timer }

interface Settings {
  readonly processor: Processor
  readonly codec: Codec
}

/** An input as an entry of the changelog, where it waits with its key. A record keeps its own bytes. */
export const toQueued = (
  input: Input,
  nowMs: number,
  effects: EffectLedger,
  { processor, codec }: Settings,
): QueuedInput => {
  switch (input.kind) {
    case 'record': {
      const { topic, partition, offset, timestampMs, headers, value } = input.record
      // The fetched buffer would live for as long as a view of it does.
      const bytes = value === null ? null : Buffer.from(value)
      return {
        ...EMPTY,
        kind: 'RECORD',
        topic,
        partition,
        offset: Number(offset),
        atMs: timestampMs,
        headers,
        value: bytes,
      }
    }
    case 'timer':
      return { ...EMPTY, kind: 'TIMER', causeId: input.name, atMs: nowMs }
    case 'report': {
      const { effectId, n, value } = input
      const { report } = declarationOf(effectId, effects, processor)
      const bytes = report == null ? null : codec.encode(report, value as never)
      return { ...EMPTY, kind: 'REPORT', causeId: effectId, n, atMs: nowMs, value: bytes }
    }
    case 'outcome': {
      const { effectId, outcome } = input
      const common = { ...EMPTY, kind: 'OUTCOME', causeId: effectId, atMs: nowMs } as const
      if (!outcome.ok) return { ...common, ok: false, code: outcome.code, detail: outcome.detail }
      const declared = declarationOf(effectId, effects, processor)
      return { ...common, value: codec.encode(declared.outcome as never, outcome.value as never) }
    }
  }
}

/** The record that waits, as it was read. */
export const queuedRecord = (key: string, queued: QueuedInput): LogRecord => {
  const { topic, partition, offset, atMs, headers, value } = queued
  return { topic, partition, offset: BigInt(offset), timestampMs: atMs, key, value, headers }
}

/**
 * The input again; null when what it was about is gone: the effect was cancelled, the timer removed. Throws BugError
 * EFFECT_UNDECLARED when this code does not know the effect, and what decoding throws.
 */
export const fromQueued = (
  key: string,
  queued: QueuedInput,
  memory: TaskMemory,
  { processor, codec }: Settings,
): Input | null => {
  const { kind, causeId, n, value } = queued
  if (kind === 'RECORD') return { kind: 'record', record: queuedRecord(key, queued) }
  if (kind === 'TIMER') {
    const timer = memory.timersOf(causeId).get(key, causeId)
    return timer === undefined ? null : { kind: 'timer', key, name: causeId, timer }
  }
  const effect = memory.effects.get(causeId)
  if (effect === undefined) return null
  if (!memory.effects.declares(effect.record.effect)) throw undeclared(effect)
  const { report, outcome } = declarationOf(causeId, memory.effects, processor)
  if (kind === 'REPORT') {
    const told = value === null || report == null ? undefined : codec.decode(report, value)
    return { kind: 'report', effectId: causeId, n, value: told }
  }
  if (!queued.ok) {
    return { kind: 'outcome', effectId: causeId, outcome: { ok: false, code: queued.code, detail: queued.detail } }
  }
  const settled = codec.decode(outcome as never, value as Buffer)
  return { kind: 'outcome', effectId: causeId, outcome: { ok: true, value: settled } }
}

/** Why a key waits for code that knows the effect. */
export const EFFECT_UNDECLARED = 'EFFECT_UNDECLARED'

const undeclared = ({ id, record }: LiveEffect): BugError =>
  new BugError(
    EFFECT_UNDECLARED,
    `what waits is of the effect ${record.effect} (${id}), which is not declared any more`,
  )

const EMPTY = {
  causeId: '',
  topic: '',
  partition: -1,
  offset: -1,
  headers: {},
  n: 0,
  ok: true,
  code: '',
  detail: '',
  value: null,
  replayed: false,
}

const declarationOf = (effectId: string, effects: EffectLedger, processor: Processor) => {
  const name = effects.get(effectId)?.record.effect ?? ''
  return processor.effects[name] ?? { report: null, outcome: null }
}
