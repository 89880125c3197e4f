import { defineProcessor, from, to } from '../../runtime/processor.ts'
import { transcodeJobs, transcodePool, videoEvents } from '../../schemas/topics.ts'
import {
  cancelVideo,
  closeLane,
  forgetEnded,
  holdReleases,
  openLane,
  requestJobs,
  resumeReleases,
  settleJob,
} from './pool.ts'
import { state } from './state.ts'

/**
 * Gives the pool's jobs to workers that have a free slot, first in, first out, and not a moment before: a job that is
 * not released binds nobody, so short uploads do not wait behind long ones on one machine while another is idle.
 *
 * A worker is known by the lanes that it announces. A job stays with the lane that it was released to: when its worker
 * dies, whoever opens the lane next has the job, through the group protocol and the worker's own journal. Jobs that the
 * opener does not name are released to the lane again; the worker ignores those that it was about to read anyway.
 *
 * It is the one owner of retries: three attempts where another may help, then TranscodeFailed, and the other jobs of
 * that encode are cancelled. Missing thumbnails fail no video. Its input is written by our own processors in
 * transactions, so nothing comes twice by accident; what does (a topic copied back) is recognised for 30 days.
 */
export const scheduleTranscodes = defineProcessor(
  {
    name: 'schedule-transcodes',
    reads: [
      from(transcodePool, ['JobsRequested', 'JobsCancelled', 'JobSettled', 'LaneOpened', 'LaneClosed', 'ReleasesHeld']),
    ],
    writes: [to(transcodeJobs, ['JobReleased', 'JobCancelled']), to(videoEvents, ['TranscodeFailed'])],
    state,
    timers: ['forget', 'resume'],
  },
  {
    on: {
      'transcode-pool': {
        JobsRequested: (ctx, { jobs }) => requestJobs(ctx, jobs),
        JobsCancelled: (ctx, { videoId }) => cancelVideo(ctx, videoId),
        JobSettled: (ctx, settled) => settleJob(ctx, settled),
        LaneOpened: (ctx, opened) => openLane(ctx, opened),
        LaneClosed: (ctx, closed) => closeLane(ctx, closed),
        ReleasesHeld: (ctx, held) => holdReleases(ctx, held),
      },
    },
    due: { forget: (ctx) => forgetEnded(ctx), resume: (ctx) => resumeReleases(ctx) },
  },
)
