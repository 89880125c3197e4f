import { type Context, defineProcessor, from, type Processor, to } from '../../runtime/processor.ts'
import { type VideoClaim, videoEvents, videoIntake } from '../../schemas/topics.ts'
import { type AdmissionSettings, decide } from './decide.ts'
import { type AdmissionFact, evolve } from './evolve.ts'
import { type AdmittedVideo, AdmittedVideoSchema, SeenClaimSchema } from './generated.ts'

/**
 * The one guard of a video's invariants. Everybody outside, the gateway included, claims on `video-intake`; only what is
 * admitted here becomes a fact on `video-events`. Every claim ends in exactly one record whose causationid is the claim's
 * ce_id: the fact, or ClaimRefused with a code of refusals.ts. The same claim again gives nothing.
 *
 * Its state is a fold of video-events, brought forward as it emits and again, without effect, when its own facts come
 * back. So it can be lost: video-events is read to its end before the first claim, and the claims that facts name as
 * their cause are known again.
 *
 * Claims about parts are the many. They are remembered while the upload is open and for eight days after it is over,
 * one more than the door keeps records: by then none of them can come again. All others are remembered with the video.
 */
const DAY_MS = 24 * 60 * 60 * 1000
const REMEMBER_PARTS_MS = videoIntake.retentionMs + DAY_MS

const writes = [
  to(videoEvents, [
    'UploadStarted',
    'PartUploaded',
    'UploadSealed',
    'UploadAbortRequested',
    'UploadCompleted',
    'VideoDetailsChanged',
    'VideoDeleted',
    'ClaimRefused',
  ]),
] as const

const state = { video: AdmittedVideoSchema, claim: SeenClaimSchema, partClaim: SeenClaimSchema }

type Ctx = Context<typeof writes, typeof state, Record<never, never>, 'forgetParts'>

export const admitEvents = (settings: AdmissionSettings): Processor =>
  defineProcessor(
    {
      name: 'admit-events',
      reads: [
        from(videoIntake, [
          'UploadStarted',
          'PartUploaded',
          'UploadSealed',
          'UploadAbortRequested',
          'UploadCompleted',
          'VideoDetailsChanged',
          'VideoDeleted',
        ]),
        from(
          videoEvents,
          [
            'UploadStarted',
            'PartUploaded',
            'UploadSealed',
            'UploadAbortRequested',
            'UploadCompleted',
            'UploadAborted',
            'VideoDetailsChanged',
            'VideoDeleted',
            'ClaimRefused',
          ],
          { bootstrap: true },
        ),
      ],
      writes,
      state,
      timers: ['forgetParts'],
    },
    {
      on: {
        'video-intake': {
          UploadStarted: (ctx, data) => admit(ctx, { type: 'UploadStarted', data }, settings),
          PartUploaded: (ctx, data) => admit(ctx, { type: 'PartUploaded', data }, settings),
          UploadSealed: (ctx, data) => admit(ctx, { type: 'UploadSealed', data }, settings),
          UploadAbortRequested: (ctx, data) => admit(ctx, { type: 'UploadAbortRequested', data }, settings),
          UploadCompleted: (ctx, data) => admit(ctx, { type: 'UploadCompleted', data }, settings),
          VideoDetailsChanged: (ctx, data) => admit(ctx, { type: 'VideoDetailsChanged', data }, settings),
          VideoDeleted: (ctx, data) => admit(ctx, { type: 'VideoDeleted', data }, settings),
        },
        'video-events': {
          UploadStarted: (ctx, data) => foldAdmitted(ctx, { type: 'UploadStarted', data }),
          PartUploaded: (ctx, data) => foldAdmitted(ctx, { type: 'PartUploaded', data }),
          UploadSealed: (ctx, data) => foldAdmitted(ctx, { type: 'UploadSealed', data }),
          UploadAbortRequested: (ctx, data) => foldAdmitted(ctx, { type: 'UploadAbortRequested', data }),
          UploadCompleted: (ctx, data) => foldAdmitted(ctx, { type: 'UploadCompleted', data }),
          UploadAborted: (ctx, data) => fold(ctx, { type: 'UploadAborted', data }),
          VideoDetailsChanged: (ctx, data) => foldAdmitted(ctx, { type: 'VideoDetailsChanged', data }),
          VideoDeleted: (ctx, data) => foldAdmitted(ctx, { type: 'VideoDeleted', data }),
          ClaimRefused: (ctx, { causeId, claimType }) => remember(ctx, causeId, claimType),
        },
      },
      due: {
        forgetParts: (ctx) => {
          for (const [claimId] of ctx.state.partClaim.entries()) ctx.state.partClaim.delete(claimId)
        },
      },
    },
  )

const admit = (ctx: Ctx, claim: VideoClaim, settings: AdmissionSettings): void => {
  const seen = memoryFor(ctx, claim.type).get(ctx.cause.id) !== undefined
  const { source: producer } = ctx.cause
  const decision = decide({ videoId: ctx.key, video: ctx.state.video.get(), seen, producer }, claim, settings)
  switch (decision.kind) {
    case 'duplicate':
      return
    case 'refused':
      ctx.emit.ClaimRefused({
        causeId: ctx.cause.id,
        claimType: claim.type,
        code: decision.code,
        detail: decision.detail,
      })
      break
    case 'admitted':
      emitFact(ctx, decision.fact)
      fold(ctx, decision.fact)
  }
  remember(ctx, ctx.cause.id, claim.type)
}

const emitFact = (ctx: Ctx, fact: VideoClaim): void => {
  // Each emitter takes the data of its own event, and `fact` is such a pair; the compiler cannot correlate the two.
  const emit = ctx.emit[fact.type] as (data: VideoClaim['data']) => void
  emit(fact.data)
}

/** A fact that answers a claim, unless it is finish-upload's UploadCompleted: that one answers a part. */
const foldAdmitted = (ctx: Ctx, fact: VideoClaim): void => {
  fold(ctx, fact)
  const { causationId } = ctx.cause
  const answersClaim = fact.type !== 'UploadCompleted' || fact.data.authorId !== null
  if (answersClaim && causationId !== null) remember(ctx, causationId, fact.type)
}

const fold = (ctx: Ctx, fact: AdmissionFact): void => {
  const before = ctx.state.video.get()
  const after = evolve(before, fact)
  if (after === undefined || after === before) return
  ctx.state.video.put(after)
  if (before !== undefined && isOver(after) && !isOver(before))
    ctx.schedule('forgetParts', ctx.cause.timestampMs + REMEMBER_PARTS_MS)
}

const remember = (ctx: Ctx, claimId: string, claimType: string): void => {
  const memory = memoryFor(ctx, claimType)
  if (memory.get(claimId) !== undefined) return
  memory.put({ endedAtMs: ctx.cause.timestampMs }, claimId)
  if (claimType === 'PartUploaded' && isOver(ctx.state.video.get())) {
    ctx.schedule('forgetParts', ctx.cause.timestampMs + REMEMBER_PARTS_MS)
  }
}

const memoryFor = (ctx: Ctx, claimType: string) =>
  claimType === 'PartUploaded' ? ctx.state.partClaim : ctx.state.claim

/** No part is of use: the upload ended, or there is none. */
const isOver = (video: AdmittedVideo | undefined): boolean =>
  video === undefined || video.upload !== 'OPEN' || video.deleted
