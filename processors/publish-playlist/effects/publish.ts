import { isPublishable } from '../../../media/hls/check.ts'
import { BugError, UpstreamError } from '../../../platform/errors.ts'
import type { EffectRun, Executor } from '../../../runtime/run/executors.ts'
import type { S3Client } from '../../../storage/s3-client.ts'
import { IMMUTABLE, putOnce } from '../../../storage/write-once.ts'
import type { PlanState, PublishInput, PublishOutcome, RenditionState, SegmentState } from '../generated.ts'
import { type RevisionState, renderRevision } from '../render.ts'

/**
 * Writes a revision, each playlist once, in no order: nobody knows their keys before the fact names them. A revision that breaks a MUST rule of the checker
 * is not written (PLAYLIST_INVALID): no player ever sees it.
 */
export const publishWith =
  (s3: S3Client, bucket: string): Executor<PublishInput, PublishOutcome> =>
  async (input, run) => {
    const revision = renderRevision(run.key, input, stateOf(input, run))
    const broken = revision.findings.filter(({ level }) => level === 'MUST')
    if (!isPublishable(revision.findings)) {
      throw new BugError('PLAYLIST_INVALID', broken.map(({ rule, detail }) => `${rule}: ${detail}`).join('; '))
    }
    const { masterKey, texts, renditions, playableDurationMs, findings } = revision
    await Promise.all(Array.from(texts, ([key, text]) => write(s3, bucket, key, text, run.signal)))
    const warnings = findings.map(({ rule, detail }) => `${rule}: ${detail}`)
    return { masterKey, renditions, playableDurationMs, warnings }
  }

const stateOf = ({ generation, tracks }: PublishInput, run: EffectRun<unknown>): RevisionState => {
  const plan = run.read<PlanState>('plan', String(generation))[0]?.[1].plan
  if (plan === undefined) throw new BugError('PLAN_MISSING', `generation ${generation} has no plan`)
  const segments = new Map(
    tracks.map(({ track }) => [
      track,
      run.read<SegmentState>('segment', `${generation}/${track}/`).map(([, segment]) => segment),
    ]),
  )
  const measured = new Map(
    run
      .read<RenditionState>('rendition', `${generation}/`)
      .map(([id, figures]) => [id.slice(`${generation}/`.length), figures]),
  )
  return { plan, segments, measured }
}

const write = async (s3: S3Client, bucket: string, key: string, text: string, signal: AbortSignal): Promise<void> => {
  const object = {
    bucket,
    key,
    body: Buffer.from(text),
    contentType: 'application/vnd.apple.mpegurl',
    cacheControl: IMMUTABLE,
  }
  const outcome = await putOnce(s3, object, { signal })
  if (outcome !== 'exists-different') return
  // Another run of this effect saw another state. Its keys are taken; the next revision has keys of its own.
  throw new UpstreamError('REVISION_TAKEN', `${key} exists with other bytes`, { retryable: false, facts: { key } })
}
