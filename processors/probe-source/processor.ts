import { effect, exponential } from '../../runtime/effect-policy.ts'
import { defineProcessor, from, to } from '../../runtime/processor.ts'
import { videoEvents } from '../../schemas/topics.ts'
import { PROBE_FAILED } from './failure.ts'
import { ProbedObjectSchema, ProbeInputSchema, ProbeOutcomeSchema } from './generated.ts'

/**
 * Says what an uploaded object is, once per video: SourceProbed with everything that the planner needs, or
 * SourceRejected with a code of the closed list and a sentence for the uploader. A source that cannot be examined at
 * all, because every attempt failed or it killed five processes in turn, is rejected too: nobody waits for ever.
 *
 * The key's life ends with that fact, read back, or with the video.
 */
const MINUTE_MS = 60_000

export const probeSource = defineProcessor(
  {
    name: 'probe-source',
    reads: [from(videoEvents, ['UploadCompleted'])],
    writes: [to(videoEvents, ['SourceProbed', 'SourceRejected'])],
    state: { object: ProbedObjectSchema },
    effects: {
      // Containers without an index are read to their end: 15 minutes are 10 GB at 12 MB/s.
      probe: effect({
        input: ProbeInputSchema,
        outcome: ProbeOutcomeSchema,
        attempts: 8,
        backoffMs: exponential(1_000, 5 * MINUTE_MS),
        timeoutMs: 15 * MINUTE_MS,
      }),
    },
    confirmedBy: { probe: [from(videoEvents, ['SourceProbed', 'SourceRejected'])] },
    closedBy: [from(videoEvents, ['SourceProbed', 'SourceRejected', 'VideoDeleted'])],
  },
  {
    on: {
      'video-events': {
        UploadCompleted: (ctx, { bucket, objectKey, etag, sizeBytes }) => {
          if (ctx.state.object.get() !== undefined) return
          ctx.state.object.put({ etag })
          ctx.perform.probe({ source: { bucket, objectKey, etag, sizeBytes } })
        },
      },
    },
    settled: {
      probe: (ctx, input, outcome) => {
        const { source, rejection } = outcome.ok ? outcome.value : { source: null, rejection: PROBE_FAILED }
        if (source !== null) ctx.emit.SourceProbed({ etag: input.source.etag, source })
        else ctx.emit.SourceRejected(rejection ?? PROBE_FAILED)
      },
    },
  },
)
