import t from 'tap'
import { createTapReport, sumTotals } from './tap-report.ts'

const report = (lines: readonly string[]) => {
  const printed: string[] = []
  const tap = createTapReport((line) => printed.push(line))
  for (const line of lines) tap.line(line)
  return { printed, totals: tap.totals() }
}

t.test('a file that passed is one line', async (t) => {
  const { printed, totals } = report([
    '# Subtest: a.test.ts',
    '    ok 1 - one',
    'ok 1 - a.test.ts # time=1ms',
    '# { total: 3, pass: 2, skip: 1 }',
  ])
  t.same(printed, ['ok 1 - a.test.ts # time=1ms'])
  t.same(totals, { passed: 2, failed: 0 })
})

t.test('a file that failed is shown whole, with what follows its verdict', async (t) => {
  const lines = [
    '# Subtest: a.test.ts',
    '    not ok 1 - one',
    'not ok 1 - a.test.ts',
    '  ---',
    '  exitCode: 1',
    '  ...',
  ]
  const { printed, totals } = report([...lines, '# { total: 1, fail: 1 }'])
  t.same(printed, lines)
  t.same(totals, { passed: 0, failed: 1 })
})

t.test('a run that ended without a sum counts as a failure', async (t) => {
  t.same(report(['TAP version 14']).totals, { passed: 0, failed: 1 })
})

t.test('runs add up', async (t) => {
  t.same(
    sumTotals([
      { passed: 2, failed: 1 },
      { passed: 3, failed: 0 },
    ]),
    { passed: 5, failed: 1 },
  )
})
