import { type Aftermath, type Finding, wrongsOf } from './perform.ts'

const MB = 1_000_000

/** The table of a run, a row for each fault, and what was wrong, as lines of Markdown. */
export const reportLines = (findings: readonly Finding[], aftermath: Aftermath): readonly string[] => {
  const rows = [...Map.groupBy(findings, ({ fault }) => fault.title)]
  return [
    '| fault | uploads | faults | object = source | UploadCompleted once | sent again MB, most (allowed) | longest s |',
    '|---|---|---|---|---|---|---|',
    ...rows.map(([title, trials]) => rowOf(title, trials, aftermath)),
    ...findings.flatMap((finding) =>
      wrongsOf(finding, aftermath).map((wrong) => `\n**${finding.fault.title}, ${finding.videoId}: ${wrong}**`),
    ),
  ]
}

const rowOf = (title: string, trials: readonly Finding[], { completions }: Aftermath): string => {
  const most = trials.reduce((a, b) => (b.resentBytes > a.resentBytes ? b : a))
  const cells = [
    title,
    trials.length,
    trials.reduce((sum, { faults }) => sum + faults, 0),
    trials.filter(({ isSame }) => isSame).length,
    trials.filter(({ videoId }) => completions.get(videoId) === 1).length,
    `${(most.resentBytes / MB).toFixed(1)} (${(most.allowedBytes / MB).toFixed(1)})`,
    (Math.max(...trials.map(({ durationMs }) => durationMs)) / 1000).toFixed(1),
  ]
  return `| ${cells.join(' | ')} |`
}
