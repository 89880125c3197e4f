import t from 'tap'
import { PLANTED_BUGS } from './planted-bugs.ts'
import { runSchedule } from './schedule.ts'

/** A simulation that finds nothing proves nothing: each of these errors is found within so many schedules. */
const WITHIN = 400

for (const [name, bug] of Object.entries(PLANTED_BUGS)) {
  t.test(`it is found that ${name}`, async (t) => {
    for (let seed = 1; seed <= WITHIN; seed++) {
      const [violation] = (await runSchedule(seed, { bug })).violations
      if (violation === undefined) continue
      t.comment(`seed ${seed}: ${violation}`)
      return t.pass()
    }
    t.fail(`not within ${WITHIN} schedules`)
  })
}

t.test('what was planted is taken out again', async (t) => {
  for (let seed = 1; seed <= 10; seed++) t.same((await runSchedule(seed)).violations, [])
})
