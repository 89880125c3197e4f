import { BugError } from '../platform/errors.ts'
import type { Sink } from './ffmpeg.ts'
import { createFmp4Splitter, type Fmp4Init } from './fmp4.ts'
import type { Segment, Segmenter } from './segmenter.ts'

/**
 * One output of FFmpeg, from bytes to segments: splitter, then segmenter, then whoever stores them. The next bytes are
 * taken when a handler has resolved, so slow storage slows FFmpeg down and memory stays at one segment per track.
 */
export interface TrackHandlers {
  /** Once, before the first segment. */
  init(init: Fmp4Init): Promise<void>
  /** In order of index. Called for the last one only after `ended` has resolved. */
  segment(segment: Segment): Promise<void>
  /** FFmpeg ended well and wrote this many samples. Throwing refuses the track before its last segment is handed on. */
  ended(sampleCount: number): Promise<void>
}

/** `timescale`: what the plan expects. The sink throws BugError TIMESCALE if FFmpeg chose another. */
export const trackSink =
  (segmenter: Segmenter, timescale: number, handlers: TrackHandlers): Sink =>
  async (bytes) => {
    const splitter = createFmp4Splitter()
    for await (const chunk of bytes) {
      for (const part of splitter.push(chunk)) {
        if (part.kind === 'fragment') {
          const segment = segmenter.push(part)
          if (segment !== null) await handlers.segment(segment)
          continue
        }
        if (part.timescale !== timescale) {
          throw new BugError('TIMESCALE', `expected a timescale of ${timescale}, got ${part.timescale}`)
        }
        await handlers.init(part)
      }
    }
    splitter.end()
    const { last, sampleCount } = segmenter.end()
    await handlers.ended(sampleCount)
    if (last !== null) await handlers.segment(last)
  }
