/**
 * Read your writes: `after=<claimId>` waits for the claim's outcome, and then for every projection that the route reads
 * to pass it; `after=<partition>:<offset>` (a position of video-events, as an SSE id) waits directly.
 *
 * The wait is bounded. When it is over the answer is 503 with Retry-After and never an older value; a claim that was
 * refused is the refusal, with its code.
 */
import { Type } from 'typebox'
import { BadInputError, UpstreamError } from '../../platform/errors.ts'
import { reading } from '../../prisma/reading.ts'
import type { ApiContext } from '../context.ts'

export const AfterQuery = Type.Optional(
  Type.String({
    maxLength: 200,
    description: 'Answer only with what includes this: a claimId, or `<partition>:<offset>` of video-events.',
  }),
)

/** The claim came through, and was not admitted. */
export class ClaimRefusedError extends BadInputError {}

export type ProjectionName = 'video-catalogue' | 'video-history'

const WAIT_MS = 5_000
/** Without notices the tables are asked this often. */
const POLL_MS = 100
/** With them, only in case one was lost. */
const LISTENING_POLL_MS = 500

export const waitForAfter = async (
  context: ApiContext,
  after: string | undefined,
  projections: readonly ProjectionName[],
): Promise<void> => {
  if (after === undefined) return
  const isThere = probeFor(context, after, projections)
  const deadline = performance.now() + WAIT_MS
  for (;;) {
    const heard = context.positions.heard()
    if (await isThere()) return
    const restMs = deadline - performance.now()
    if (restMs <= 0) throw notYet(after)
    const pollMs = context.positions.isListening() ? LISTENING_POLL_MS : POLL_MS
    await context.positions.next(heard, Math.min(restMs, pollMs), context.closing)
    if (context.closing.aborted) throw notYet(after)
  }
}

const probeFor = (context: ApiContext, after: string, projections: readonly ProjectionName[]) => {
  const position = /^(\d{1,9}):(\d{1,15})$/.exec(after)
  return position === null
    ? () => claimPassed(context, after, projections)
    : () => positionPassed(context, Number(position[1]), Number(position[2]), projections)
}

interface OutcomeProbe {
  readonly code: string | null
  readonly detail: string | null
  readonly passed: boolean
}

const claimPassed = async ({ db }: ApiContext, claimId: string, projections: readonly ProjectionName[]) => {
  const [outcome] = await reading(
    () => db.$queryRaw<OutcomeProbe[]>`
      SELECT o.code, o.detail,
             (SELECT count(*) FROM read.positions p
               WHERE p.projection = ANY(${projections}) AND p.topic = o.topic
                 AND p."partition" = o."partition" AND p.next_offset > o.record_offset) = ${projections.length} AS passed
        FROM read.outcomes o WHERE o.claim_id = ${claimId}`,
  )
  if (outcome === undefined) return false
  if (outcome.code !== null) throw new ClaimRefusedError(outcome.code, outcome.detail ?? 'The claim was refused.')
  return outcome.passed
}

const positionPassed = async (
  { db }: ApiContext,
  partition: number,
  offset: number,
  projections: readonly ProjectionName[],
): Promise<boolean> => {
  const [probe] = await reading(
    () => db.$queryRaw<{ passed: boolean }[]>`
      SELECT count(*) = ${projections.length} AS passed FROM read.positions
       WHERE projection = ANY(${projections}) AND topic = 'video-events'
         AND "partition" = ${partition} AND next_offset > ${offset}`,
  )
  return probe?.passed === true
}

const notYet = (after: string): UpstreamError =>
  new UpstreamError('NOT_YET_VISIBLE', `What "${after}" stands for is not visible yet. Ask again.`)
