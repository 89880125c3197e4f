import t, { type Test } from 'tap'
import { isSound } from './report.ts'
import { SCENARIOS } from './scenarios/index.ts'
import type { Scenario } from './scenarios/scenario.ts'
import { openStage, perform, SHORT } from './stage.ts'

/**
 * The short run: one cluster, a slice of each scenario, in well under 90 s. Two scenarios run side by side, each on topics
 * of its own; those that hit the brokers run alone, for they hit everybody.
 */
const stage = await openStage({ ...SHORT, say: (line) => t.comment(line) })
let sound = 0
const startedAtMs = performance.now()
t.teardown(() => {
  t.comment(`${Math.round((performance.now() - startedAtMs) / 1_000)} s of 90 that it may take`)
  return stage.close({ keep: sound < SHORT_ONES.length })
})

const SHORT_ONES = SCENARIOS.filter(({ times }) => times.short > 0)

const addTest = (t: Test, scenario: Scenario) =>
  t.test(scenario.title, async (t) => {
    const { finding, durationMs } = await perform(scenario, stage, scenario.times.short)
    if (isSound(finding)) sound += 1
    t.same(finding.faults, [])
    t.ok(isSound(finding))
    t.ok(finding.acked > 0 && finding.inputs >= finding.acked, `${finding.acked} acknowledged inputs`)
    t.ok(finding.recoveriesMs.length > 0, `went on after ${finding.recoveriesMs.join(', ')} ms`)
    t.comment(`${Math.round(durationMs)} ms`, finding.notes)
  })

t.test('nothing is lost, nothing doubled, each key in order', { jobs: 2, buffered: true }, (t) => {
  for (const scenario of SHORT_ONES.filter(({ hitsEverybody }) => !hitsEverybody)) addTest(t, scenario)
  t.end()
})
for (const scenario of SHORT_ONES.filter(({ hitsEverybody }) => hitsEverybody)) addTest(t, scenario)
