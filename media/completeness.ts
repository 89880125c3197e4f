import type { TranscodePlan } from './types.ts'

/**
 * Whether the frames that came out are those that were planned. FFmpeg's exit code does not say: a torn connection and a
 * damaged file both end with 0 and a shorter video.
 *   complete   as planned
 *   short      a little is missing (the last frames of a cut-off recording): publish, with a warning
 *   truncated  too much is missing: not publishable; the same input will give the same again unless reading it failed
 */
export type Completeness = 'complete' | 'short' | 'truncated'

export const completenessOf = (
  plan: Pick<TranscodePlan, 'totalFrames' | 'totalFramesExact'>,
  frames: number,
): Completeness => {
  const missing = plan.totalFrames - frames
  // A duration is rounded, and the last frame of a variable-rate file has no known length.
  if (missing <= (plan.totalFramesExact ? 0 : 2)) return 'complete'
  return frames >= PUBLISHABLE_SHARE * plan.totalFrames ? 'short' : 'truncated'
}

const PUBLISHABLE_SHARE = 0.98
