import { deriveId } from '../../platform/ids.ts'
import { parseTraceparent, type TraceContext } from '../../platform/trace-context.ts'
import type { PendingEffect } from '../state/generated.ts'

/**
 * The span of the present run of an effect: what it makes happen is caused by it. Derived, so that facts name it while it
 * still runs, and whoever says them again names the same. Null: there is no trace, or no run.
 */
export const spanOfRun = (
  processor: string,
  effectId: string,
  { traceparent, runs }: Pick<PendingEffect, 'traceparent' | 'runs'>,
): TraceContext | null => {
  const parent = runs === 0 ? null : parseTraceparent(traceparent)
  if (parent === null) return null
  const spanId = deriveId('span', processor, effectId, runs).replaceAll('-', '').slice(0, SPAN_ID_DIGITS)
  return { ...parent, spanId }
}

const SPAN_ID_DIGITS = 16
