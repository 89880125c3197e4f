import fc from 'fast-check'
import t from 'tap'
import { progressLine } from './progress-line.ts'

const state = { name: 'crossing-the-sarek-in-winter.mp4', fraction: 0.456, facts: ['45.1 MB/s', '0:12 left', '1.2 GB'] }

t.test('a wide terminal shows everything', async (t) => {
  const line = progressLine(state, 120)
  t.match(line, /^crossing-the-sarek-in-winter\.mp4 {2}█+░+ {3}45 % {2}45\.1 MB\/s {2}0:12 left {2}1\.2 GB$/)
})

t.test('a narrow one shows what matters most', async (t) => {
  t.equal(progressLine(state, 50), 'cros….mp4  ████░░░░░   45 %  45.1 MB/s  0:12 left')
  t.equal(progressLine(state, 40), 'cross….mp4  ████░░░░░   45 %  45.1 MB/s')
  t.equal(progressLine(state, 20), 'crossi…r.mp4   45 %', 'no bar rather than half a number')
})

t.test('a terminal that does not know its width, or says 0, is taken for a usual one', async (t) => {
  t.equal(progressLine(state, 0), progressLine(state, 80))
  t.equal(progressLine(state, undefined), progressLine(state, 80))
})

t.test('no length, no bar', async (t) => {
  t.equal(
    progressLine({ name: '-', fraction: null, facts: ['2 MB/s'] }, 80)
      .trim()
      .replaceAll(/ +/g, ' '),
    '- 2 MB/s',
  )
})

t.test('whatever the width, it fits', async () => {
  fc.assert(
    fc.property(
      fc.string({ maxLength: 80 }),
      fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
      fc.array(fc.string({ maxLength: 20 }), { maxLength: 4 }),
      fc.integer({ min: 2, max: 300 }),
      (name, fraction, facts, columns) => progressLine({ name, fraction, facts }, columns).length < columns,
    ),
  )
})
