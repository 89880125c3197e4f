import { loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { keep } from '../../bench/table.ts'
import { BadInputError } from '../../platform/errors.ts'
import { onDemand } from '../on-demand.ts'
import { type Chapter, isSound, reportLines } from './report.ts'
import { SCENARIOS } from './scenarios/index.ts'
import type { Scenario } from './scenarios/scenario.ts'
import { LONG, openStage, perform, SHORT } from './stage.ts'

/**
 * `npm run test:chaos [-- --only NAME] [--times N] [--short]`: the long run, on demand. Every fault as often as its
 * scenario says, with the session of the product's workers. The whole of it is kept as bench/results/chaos.md. `--short`
 * is what chaos.test.ts does as a part of all tests, one scenario after the other.
 */
const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    times: { type: 'string' },
    short: { type: 'boolean', default: false },
  },
})

const run = async (): Promise<boolean> => {
  const size = values.short ? 'short' : 'long'
  const isWanted = ({ name, times }: Scenario) => (values.only === undefined ? times[size] > 0 : values.only === name)
  const chosen = SCENARIOS.filter(isWanted)
  if (chosen.length === 0) {
    const names = SCENARIOS.map(({ name }) => name).join(', ')
    throw new BadInputError('CHAOS_UNKNOWN', `expected one of ${names}, got "${values.only}"`)
  }
  const settings = values.short ? SHORT : LONG
  const [before = 0] = loadavg()
  const stage = await openStage({ ...settings, say: console.log })
  const chapters: Chapter[] = []
  const isAllSound = () => chapters.length === chosen.length && chapters.every(({ finding }) => isSound(finding))
  try {
    for (const scenario of chosen) {
      console.log(`\n${scenario.title}`)
      chapters.push(await perform(scenario, stage, Number(values.times ?? scenario.times[size])))
    }
  } finally {
    if (!isAllSound()) console.log(`Logs: ${stage.dataDir}`)
    await stage.close({ keep: !isAllSound() })
  }
  const { perSecond, sessionTimeoutMs } = settings
  const [during = 0] = loadavg()
  const lines = [
    `Three brokers on one machine, replication factor 3, min ISR 2; ${perSecond} inputs a second; session ${sessionTimeoutMs / 1000} s; load of the machine ${before.toFixed(0)} before, ${during.toFixed(0)} at the end.`,
    '',
    ...reportLines(chapters),
  ]
  const isWhole = values.only === undefined && values.times === undefined && !values.short
  if (isWhole) keep('chaos', lines)
  else console.log(lines.join('\n'))
  return isAllSound()
}

await onDemand(run)
