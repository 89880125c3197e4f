import { audioCommand } from '../../../media/arguments.ts'
import { SOUND_LIMITS } from '../../../media/process-guard.ts'
import { createAudioSegmenter } from '../../../media/segmenter.ts'
import { trackSink } from '../../../media/track-sink.ts'
import type { Executor } from '../../../runtime/run/executors.ts'
import type { SegmentReport, TranscodeAudioInput, TranscodeOutcome } from '../generated.ts'
import { type EncodingTools, encode, failureOf, withSource } from './encode.ts'
import { createSegmentStore } from './store-segments.ts'

/**
 * One sound track as a whole: never in chunks, because every AAC encoder start costs a gap. After a crash it is encoded
 * from its beginning again; segments that were reported are not stored again.
 */
export const transcodeAudioWith =
  (tools: EncodingTools): Executor<TranscodeAudioInput, TranscodeOutcome, SegmentReport> =>
  async ({ plan, audio, source, videoId, generation }, run) => {
    const store = createSegmentStore({
      ...tools,
      videoId,
      generation,
      track: audio.track,
      renditions: [audio.rendition],
      firstIndex: 0,
      resumeFrom: run.resumeFrom,
      signal: run.signal,
      report: run.report,
    })
    let frames = 0
    const count = (samples: number): void => {
      frames = samples
    }
    try {
      const wallMs = await withSource(tools.proxy, source, async (file) => {
        const handlers = store.handlersFor(audio.rendition, count)
        const sink = trackSink(createAudioSegmenter(), audio.sampleRate, handlers)
        const build = (urls: readonly string[]) => audioCommand({ ...plan, audio: [audio] }, file.url, urls)
        return await encode(tools.ffmpeg, build, [sink], { signal: run.signal, limits: SOUND_LIMITS })
      })
      await store.finished()
      return { done: { frames, cpuMs: null, wallMs }, failure: null }
    } catch (error) {
      return { done: null, failure: failureOf(error, run.signal) }
    }
  }
