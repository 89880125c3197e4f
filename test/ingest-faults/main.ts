import { loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { keep } from '../../bench/table.ts'
import { BadInputError } from '../../platform/errors.ts'
import { onDemand, type Teardowns } from '../on-demand.ts'
import { FAULTS } from './faults.ts'
import { type Finding, perform, readAftermath, wrongsOf } from './perform.ts'
import { reportLines } from './report.ts'
import { openStage } from './stage.ts'

/**
 * `npm run test:ingest [-- --times N] [--only WORDS] [--away-s N]`: the long run, on demand: each fault ten times, servers
 * away for 30 s. The whole of it is kept as bench/results/ingest-faults.md.
 */
const TIMES = 10
const AWAY_S = 30

const run = async (t: Teardowns): Promise<boolean> => {
  const options = { times: { type: 'string' }, only: { type: 'string' }, 'away-s': { type: 'string' } } as const
  const { values } = parseArgs({ options })
  const times = Number(values.times ?? TIMES)
  const awayMs = Number(values['away-s'] ?? AWAY_S) * 1000
  const chosen = FAULTS.filter(({ title }) => title.includes(values.only ?? ''))
  if (chosen.length === 0) throw new BadInputError('FAULT_UNKNOWN', `no fault is called "${values.only}"`)
  const [before = 0] = loadavg()
  const findings: Finding[] = []
  const stage = await openStage(t, { awayMs })
  for (const fault of chosen) {
    for (let i = 1; i <= times; i++) {
      const finding = await perform(fault, stage)
      findings.push(finding)
      console.log(`${fault.title}, ${i} of ${times}: ${Math.round(finding.durationMs)} ms`)
    }
  }
  const aftermath = await readAftermath(stage)
  const [during = 0] = loadavg()
  const lines = [
    `${stage.source.sizeBytes} bytes in parts of ${stage.partSizeBytes}, at most ${stage.connections} at a time; servers that are away are away for ${awayMs / 1000} s; load of the machine ${before.toFixed(0)} before, ${during.toFixed(0)} at the end.`,
    '',
    ...reportLines(findings, aftermath),
    ...(stage.deaths.length === 0 ? [] : ['', `Processes that ended by themselves: ${stage.deaths.join(', ')}`]),
  ]
  const isWhole = values.only === undefined && times >= TIMES && awayMs >= AWAY_S * 1000
  if (isWhole) keep('ingest-faults', lines)
  else console.log(lines.join('\n'))
  return findings.every((finding) => wrongsOf(finding, aftermath).length === 0) && stage.deaths.length === 0
}

await onDemand(run)
