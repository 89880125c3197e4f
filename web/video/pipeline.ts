/**
 * The way of a video from upload to ready as six steps, folded from its facts. Pure, and the same whether the facts
 * come live, from the history, or twice.
 */
export const STEPS = ['uploaded', 'checked', 'planned', 'transcoded', 'playable', 'ready'] as const

export type StepName = (typeof STEPS)[number]

export interface PipelineFact {
  readonly type: string
  readonly recordedAt: string
  readonly body: Readonly<Record<string, unknown>>
}

export interface Pipeline {
  /** When each step was reached, milliseconds since the epoch. */
  readonly reachedAtMs: Readonly<Partial<Record<StepName, number>>>
  /** When the first fact was recorded. */
  readonly beganAtMs: number | null
  /** Encoded share of the video, 0 … 100. */
  readonly percent: number
  readonly failure: { readonly code: string; readonly message: string } | null
}

export const emptyPipeline: Pipeline = { reachedAtMs: {}, beganAtMs: null, percent: 0, failure: null }

/** The pipeline after one more fact. The first fact of a kind counts. */
export const evolvePipeline = (pipeline: Pipeline, fact: PipelineFact): Pipeline => {
  const atMs = Date.parse(fact.recordedAt)
  const reached = stepsReachedBy(fact).filter((step) => pipeline.reachedAtMs[step] === undefined)
  return {
    beganAtMs: pipeline.beganAtMs ?? atMs,
    reachedAtMs: { ...pipeline.reachedAtMs, ...Object.fromEntries(reached.map((step) => [step, atMs])) },
    percent: reached.includes('transcoded') ? 100 : pipeline.percent,
    failure: pipeline.failure ?? failureSaidBy(fact),
  }
}

/** Progress only grows: an older answer may arrive after a newer one. */
export const withPercent = (pipeline: Pipeline, percent: number): Pipeline => ({
  ...pipeline,
  percent: Math.max(pipeline.percent, Math.min(100, percent)),
})

export type StepState = 'done' | 'active' | 'waiting' | 'failed'

/**
 * How each step is to be shown. Playable usually comes before transcoded, so more than one step can be under way; what
 * failed is the first step that was not reached.
 */
export const stepStates = (pipeline: Pipeline): Readonly<Record<StepName, StepState>> => {
  const open = STEPS.filter((step) => pipeline.reachedAtMs[step] === undefined)
  const stateOf = (step: StepName): StepState => {
    if (!open.includes(step)) return 'done'
    if (step !== open[0]) return 'waiting'
    return pipeline.failure === null ? 'active' : 'failed'
  }
  return Object.fromEntries(STEPS.map((step) => [step, stateOf(step)])) as Record<StepName, StepState>
}

const stepsReachedBy = ({ type, body }: PipelineFact): readonly StepName[] => {
  switch (type) {
    case 'UploadCompleted':
      return ['uploaded']
    case 'SourceProbed':
      return ['checked']
    case 'TranscodePlanned':
      return ['planned']
    case 'PlaylistPublished':
      return body.complete === true ? ['playable', 'transcoded', 'ready'] : ['playable']
    default:
      return []
  }
}

const FAILURES: ReadonlySet<string> = new Set(['UploadAborted', 'SourceRejected', 'TranscodeFailed'])

const failureSaidBy = ({ type, body }: PipelineFact): Pipeline['failure'] =>
  FAILURES.has(type) ? { code: String(body.code ?? type), message: String(body.detail ?? '') } : null
