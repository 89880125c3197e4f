import { effect, exponential } from '../../runtime/effect-policy.ts'
import { type Context, defineProcessor, from, to } from '../../runtime/processor.ts'
import type { PartRejected, PartUploaded, UploadAborted } from '../../schemas/generated.ts'
import { videoEvents } from '../../schemas/topics.ts'
import { UPLOAD_ENDS, type UploadEnd } from './ends.ts'
import {
  AbortInputSchema,
  AbortOutcomeSchema,
  CompleteInputSchema,
  type CompleteOutcome,
  CompleteOutcomeSchema,
  PartSchema,
  type Upload,
  UploadSchema,
} from './generated.ts'

/**
 * The one owner of how an upload ends. It collects the parts, last report per number wins, and when all are there makes
 * one object of them; it gives the upload up when the client asks or the time is over.
 *
 *     RECEIVING ── all parts there ──► COMPLETING ── object verified ──► UploadCompleted
 *        │ ▲                             │      └── it can never become one ──┐
 *        │ └──── PartRejected ◄── single parts are wrong                      │
 *        └── asked to, or expired ──► ABORTING ◄──────────────────────────────┘ ──► UploadAborted
 *
 * A part that S3 does not have as it was reported (a client that lies, a server that lost it) costs that part and not
 * the upload: the report is declared void, one PartRejected for each, and whoever uploads sends it again. Not for ever:
 * the fourth completion that finds wrong parts ends the upload.
 *
 * One effect at a time per upload, chosen by the phase, so neither expiry nor an abort can race a completion that S3 may
 * already have carried out: once it has begun only its outcome counts. A part that is uploaded again meanwhile gives the
 * completion a second try, should S3 refuse the list that it was begun with. A wish to give up is kept meanwhile, and
 * honoured when the outcome is no object: nobody has to ask twice.
 *
 * The key's life ends with its own fact, read back. Imported videos have no upload: nothing is known of them here.
 */
const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS

/** How often parts of one upload are wanted again. */
const MAX_REJECTIONS = 3

const writes = [to(videoEvents, ['PartRejected', 'UploadCompleted', 'UploadAborted'])] as const

const state = { upload: UploadSchema, part: PartSchema }

const effects = {
  // S3 may take minutes over 10,000 parts. A store that is away for hours must not cost anybody an upload: with these
  // waits the last attempt is made about eight hours after the first.
  complete: effect({
    input: CompleteInputSchema,
    outcome: CompleteOutcomeSchema,
    reads: ['part'],
    attempts: 100,
    backoffMs: exponential(1_000, 5 * MINUTE_MS),
    // S3Proxy copies some 100 MB/s, and says nothing meanwhile.
    timeoutMs: 2 * 60 * MINUTE_MS,
  }),
  abort: effect({
    input: AbortInputSchema,
    outcome: AbortOutcomeSchema,
    attempts: 20,
    backoffMs: exponential(1_000, 5 * MINUTE_MS),
  }),
}

type Ctx = Context<typeof writes, typeof state, typeof effects, 'expire'>

export const finishUpload = defineProcessor(
  {
    name: 'finish-upload',
    reads: [
      from(videoEvents, ['UploadStarted', 'PartUploaded', 'PartRejected', 'UploadSealed', 'UploadAbortRequested']),
    ],
    writes,
    state,
    effects,
    confirmedBy: {
      complete: [from(videoEvents, ['PartRejected', 'UploadCompleted', 'UploadAborted'])],
      abort: [from(videoEvents, ['UploadAborted'])],
    },
    timers: ['expire'],
    closedBy: [from(videoEvents, ['UploadCompleted', 'UploadAborted', 'VideoDeleted'])],
  },
  {
    on: {
      'video-events': {
        UploadStarted: (ctx, started) => {
          if (ctx.state.upload.get() !== undefined) return
          const { bucket, objectKey, s3UploadId, partSizeBytes, partCount, sizeBytes, expiresAtMs } = started
          const plan = { partSizeBytes, partCount, sizeBytes, expiresAtMs }
          const progress = {
            receivedParts: 0,
            phase: 'RECEIVING',
            partsChanged: false,
            abortRequested: false,
            rejections: 0,
          } as const
          ctx.state.upload.put({ bucket, objectKey, s3UploadId, ...plan, ...progress })
          ctx.schedule('expire', expiresAtMs)
        },
        PartUploaded: (ctx, part) => {
          const upload = ctx.state.upload.get()
          if (upload !== undefined && takesPart(upload, part.partNumber)) receive(ctx, upload, part)
        },
        PartRejected: (ctx, rejected) => {
          const upload = ctx.state.upload.get()
          if (upload !== undefined && rejected.rejection === upload.rejections + 1) wantAgain(ctx, upload, rejected)
        },
        UploadSealed: (ctx, { partCount, sizeBytes }) => {
          const upload = ctx.state.upload.get()
          if (upload === undefined || upload.partCount !== null || upload.phase !== 'RECEIVING') return
          const receivedParts = dropPartsAfter(ctx, partCount)
          completeIfWhole(ctx, { ...upload, partCount, sizeBytes, receivedParts })
        },
        UploadAbortRequested: (ctx) => {
          const upload = ctx.state.upload.get()
          if (upload?.phase === 'COMPLETING') ctx.state.upload.put({ ...upload, abortRequested: true })
          else if (upload?.phase === 'RECEIVING') abort(ctx, upload, GIVEN_UP)
        },
      },
    },
    due: {
      expire: (ctx) => {
        const upload = ctx.state.upload.get()
        if (upload?.phase === 'RECEIVING') abort(ctx, upload, { reason: 'EXPIRED', ...endOf('UPLOAD_EXPIRED') })
      },
    },
    settled: {
      complete: (ctx, { bucket, objectKey }, outcome) => {
        const upload = ctx.state.upload.get()
        if (upload === undefined) return
        const { completed, rejection, wrongParts } = outcome.ok ? outcome.value : NOTHING
        if (completed !== null) {
          ctx.emit.UploadCompleted({ bucket, objectKey, ...completed, ...NOT_IMPORTED })
        } else if (wrongParts.length > 0 && upload.rejections < MAX_REJECTIONS) {
          // What follows is folded from these facts, when they are read back.
          const rejection = upload.rejections + 1
          for (const [n, part] of wrongParts.entries()) {
            ctx.emit.PartRejected({ ...part, rejection, following: wrongParts.length - 1 - n })
          }
        } else if (upload.abortRequested) {
          abort(ctx, upload, GIVEN_UP)
        } else if (rejection !== null && upload.partsChanged) {
          completeIfWhole(ctx, { ...upload, partsChanged: false })
        } else {
          abort(ctx, upload, { reason: 'REJECTED', ...endBy(rejection ?? wrongParts[0]) })
        }
      },
      // Parts that could not be thrown away cost space, not truth: the upload is over either way.
      abort: (ctx, { reason, code, detail }) => {
        if (ctx.state.upload.get() !== undefined) ctx.emit.UploadAborted({ reason, code, detail })
      },
    },
    closing: {
      'video-events': {
        VideoDeleted: (ctx) => {
          const upload = ctx.state.upload.get()
          // The state is gone when this settles, so nothing more is said about the upload of a deleted video.
          if (upload !== undefined) abort(ctx, upload, GIVEN_UP)
        },
      },
    },
  },
)

const NOTHING: CompleteOutcome = { completed: null, rejection: null, wrongParts: [] }
const NOT_IMPORTED = { authorId: null, details: null, sealedDetails: null }

const endOf = (code: UploadEnd): { readonly code: string; readonly detail: string } => ({
  code,
  detail: UPLOAD_ENDS[code],
})

const GIVEN_UP: UploadAborted = { reason: 'CLIENT', ...endOf('UPLOAD_CANCELLED') }

/** Only the code and the sentence: a part says more about itself. */
const endBy = (why: { readonly code: string; readonly detail: string } | undefined) =>
  why === undefined ? endOf('UPLOAD_FAILED') : { code: why.code, detail: why.detail }

const partId = (partNumber: number): string => String(partNumber).padStart(5, '0')

const takesPart = ({ phase, partCount }: Upload, partNumber: number): boolean =>
  phase !== 'ABORTING' && (partCount === null || partNumber <= partCount)

const receive = (ctx: Ctx, upload: Upload, { partNumber, sizeBytes, etag, checksum }: PartUploaded): void => {
  const before = ctx.state.part.get(partId(partNumber))
  if (before?.etag === etag && before.checksum === checksum) return
  ctx.state.part.put({ partNumber, sizeBytes, etag, checksum }, partId(partNumber))
  const receivedParts = upload.receivedParts + (before === undefined ? 1 : 0)
  if (upload.phase === 'COMPLETING') ctx.state.upload.put({ ...upload, receivedParts, partsChanged: true })
  else completeIfWhole(ctx, { ...upload, receivedParts })
}

/**
 * Voids the report that is meant; one that replaced it meanwhile stands. After the last of them the upload receives
 * again, or completes again if nothing is missing, and has the time that it had from the beginning; or it is given up,
 * if that was asked for meanwhile.
 */
const wantAgain = (ctx: Ctx, upload: Upload, rejected: PartRejected): void => {
  const { partNumber, etag, checksum, rejection, following } = rejected
  const part = ctx.state.part.get(partId(partNumber))
  const isMeant = part?.etag === etag && part.checksum === checksum
  if (isMeant) ctx.state.part.delete(partId(partNumber))
  const left = { ...upload, receivedParts: upload.receivedParts - (isMeant ? 1 : 0) }
  if (following > 0) return ctx.state.upload.put(left)
  if (left.abortRequested) return abort(ctx, { ...left, rejections: rejection }, GIVEN_UP)
  ctx.schedule('expire', upload.expiresAtMs ?? ctx.now + DAY_MS)
  completeIfWhole(ctx, { ...left, phase: 'RECEIVING', partsChanged: false, rejections: rejection })
}

/** A client that sealed its upload does not want what it sent beyond the end. Returns how many parts are left. */
const dropPartsAfter = (ctx: Ctx, partCount: number): number => {
  const parts = ctx.state.part.entries()
  const beyond = parts.filter(([, part]) => part.partNumber > partCount)
  for (const [id] of beyond) ctx.state.part.delete(id)
  return parts.length - beyond.length
}

const completeIfWhole = (ctx: Ctx, upload: Upload): void => {
  const { bucket, objectKey, s3UploadId, partSizeBytes, partCount, sizeBytes, receivedParts } = upload
  if (partCount === null || sizeBytes === null || receivedParts < partCount) return ctx.state.upload.put(upload)
  ctx.state.upload.put({ ...upload, phase: 'COMPLETING' })
  ctx.unschedule('expire')
  ctx.perform.complete({ bucket, objectKey, s3UploadId, partSizeBytes, partCount, sizeBytes })
}

const abort = (ctx: Ctx, upload: Upload, end: UploadAborted): void => {
  const { bucket, objectKey, s3UploadId } = upload
  ctx.state.upload.put({ ...upload, phase: 'ABORTING' })
  ctx.unschedule('expire')
  ctx.perform.abort({ bucket, objectKey, s3UploadId, ...end })
}
