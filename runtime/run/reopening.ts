import { isRetryable, ReelstreamError } from '../../platform/errors.ts'

const BACKOFF_FIRST_MS = 100
const BACKOFF_MOST_MS = 5_000
const FENCED_WAIT_MS = 3_000

/**
 * Errors of the log and of what stands around it are transient; those of the processor or its settings are not. Fenced is
 * transient, too: either the group is about to say that the task is another's, or whoever took it is gone again.
 */
export const isTransient = (error: unknown): boolean =>
  isRetryable(error) || isFenced(error) || !(error instanceof ReelstreamError)

/** A fenced owner waits for longer than a heartbeat, in which the group tells it what it lost. `random`: 0 … 1. */
export const reopenAfterMs = (error: unknown, failures: number, random: number): number =>
  Math.max(isFenced(error) ? FENCED_WAIT_MS : 0, backoffMs(failures, random))

/** Jittered. `failures`: in succession, from 1. `random`: 0 … 1. */
export const backoffMs = (failures: number, random: number): number =>
  Math.min(BACKOFF_MOST_MS, BACKOFF_FIRST_MS * 2 ** (failures - 1)) * (0.5 + random / 2)

const isFenced = (error: unknown): boolean => error instanceof ReelstreamError && error.code === 'FENCED'
