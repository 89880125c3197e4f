import { quantile } from './recovery.ts'
import type { Finding, Scenario } from './scenarios/scenario.ts'

/** One scenario of a run, as the report tells it. */
export interface Chapter {
  readonly scenario: Pick<Scenario, 'title'>
  readonly times: number
  readonly finding: Finding
  readonly durationMs: number
}

/** Whether the engine kept its promises in it. */
export const isSound = ({ lost, duplicated, wrong }: Pick<Finding, 'lost' | 'duplicated' | 'wrong'>): boolean =>
  lost === 0 && duplicated === 0 && wrong === 0

/** The table of a run and what else was seen, as lines of Markdown. */
export const reportLines = (chapters: readonly Chapter[]): string[] => [
  '| fault | times | inputs | answers | lost | duplicated | out of order or not the fold | recovery p50 s | longest s |',
  '|---|---|---|---|---|---|---|---|---|',
  ...chapters.map(rowOf),
  '',
  ...chapters.flatMap(({ scenario, finding, durationMs }) => {
    const facts = [
      ...finding.notes,
      `${finding.acked} of ${finding.sent} sends acknowledged`,
      `${inSeconds(durationMs)} s`,
    ]
    return [`- ${scenario.title}: ${facts.join('; ')}`, ...finding.faults.map((fault) => `  - **${fault}**`)]
  }),
]

const rowOf = ({ scenario, times, finding }: Chapter): string => {
  const { inputs, answers, lost, duplicated, wrong, recoveriesMs } = finding
  const median = quantile(recoveriesMs, 0.5)
  const longest = recoveriesMs.length === 0 ? null : Math.max(...recoveriesMs)
  return `| ${[scenario.title, times, inputs, answers, lost, duplicated, wrong, inSeconds(median), inSeconds(longest)].join(' | ')} |`
}

const inSeconds = (ms: number | null): string => (ms === null ? '–' : (ms / 1000).toFixed(1))
