import type { AvroSchema } from '../../../runtime/codec/avro.ts'
import { effect, exponential } from '../../../runtime/effect-policy.ts'
import type { DeclaredTopic } from '../../../runtime/kafka/event-topic.ts'
import { defineProcessor, from, type TopicRef, to } from '../../../runtime/processor.ts'
import { videoEvents } from '../../../schemas/topics.ts'

interface Announced {
  readonly revision: number
}

const announced: AvroSchema<Announced> = {
  name: 'example.Announced',
  schema: '{"type":"record","name":"Announced","namespace":"example","fields":[{"name":"revision","type":"int"}]}',
}

export const announcements = {
  name: 'announcements',
  partitions: 'videoPartitions',
  cleanup: 'delete',
  retentionMs: -1,
  timestamps: 'LogAppendTime',
  events: { Announced: announced },
} as const satisfies TopicRef & DeclaredTopic

/** Tells somebody, once, that a video is ready; gives up after a day. */
export const announceVideos = defineProcessor(
  {
    name: 'announce-videos',
    reads: [from(videoEvents, ['PlaylistPublished'])],
    writes: [to(announcements, ['Announced'])],
    state: { told: announced },
    effects: {
      post: effect({ input: announced, outcome: announced, attempts: 2_000, backoffMs: exponential(1_000, 60_000) }),
    },
    timers: ['giveUp'],
    closedBy: [from(videoEvents, ['VideoDeleted'])],
  },
  {
    on: {
      'video-events': {
        PlaylistPublished: (ctx, { complete, revision }) => {
          if (!complete || ctx.state.told.get() !== undefined) return
          ctx.state.told.put({ revision })
          ctx.perform.post({ revision })
          ctx.schedule('giveUp', ctx.now + 24 * 60 * 60 * 1000)
        },
      },
    },
    settled: {
      post: (ctx, _input, outcome) => {
        ctx.unschedule('giveUp')
        if (outcome.ok) ctx.emit.Announced(outcome.value)
      },
    },
    due: { giveUp: (ctx) => ctx.cancel('post') },
  },
)
