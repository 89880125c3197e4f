import { videoCommand } from '../../../media/arguments.ts'
import { completenessOf } from '../../../media/completeness.ts'
import { createVideoSegmenter, segmentStartingAt } from '../../../media/segmenter.ts'
import { trackSink } from '../../../media/track-sink.ts'
import { BadInputError } from '../../../platform/errors.ts'
import type { Executor } from '../../../runtime/run/executors.ts'
import type { SegmentReport, TranscodeOutcome, TranscodeVideoInput } from '../generated.ts'
import { type EncodingTools, encode, failureOf, withSource } from './encode.ts'
import { createSegmentStore } from './store-segments.ts'

/**
 * One chunk into every picture rendition: one FFmpeg process, decoded once, scaled down in a chain. Segments are stored
 * and reported as they close, so a viewer may begin while the rest is encoded. Done again after a crash it encodes the
 * same frames (their bytes may differ, docs/adr/0013) and stores only what was not reported.
 */
export const transcodeVideoWith =
  (tools: EncodingTools): Executor<TranscodeVideoInput, TranscodeOutcome, SegmentReport> =>
  async ({ plan, chunk, source, videoId, generation }, run) => {
    const { ffmpeg, encoderThreads } = tools
    const store = createSegmentStore({
      ...tools,
      videoId,
      generation,
      track: 'video',
      renditions: plan.renditions.map(({ name }) => name),
      firstIndex: segmentStartingAt(plan, chunk.startFrame),
      resumeFrom: run.resumeFrom,
      signal: run.signal,
      report: run.report,
    })
    let frames = 0
    const planned = { ...plan, totalFrames: chunk.endFrame - chunk.startFrame }
    const count = (samples: number): void => {
      frames = samples
      if (completenessOf(planned, samples) !== 'truncated') return
      throw new BadInputError('TRUNCATED', `${samples} of ${planned.totalFrames} frames could be decoded`)
    }
    try {
      const wallMs = await withSource(tools.proxy, source, async (file) => {
        const sinks = plan.renditions.map(({ name }) =>
          trackSink(createVideoSegmenter(plan, chunk), plan.timescale, store.handlersFor(name, count)),
        )
        const build = (urls: readonly string[]) => videoCommand(plan, chunk, file.url, urls, encoderThreads)
        return await encode(ffmpeg, build, sinks, { signal: run.signal })
      })
      await store.finished()
      return { done: { frames, cpuMs: null, wallMs }, failure: null }
    } catch (error) {
      return { done: null, failure: failureOf(error, run.signal) }
    }
  }
