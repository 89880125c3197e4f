import { openTrial } from '../trial.ts'
import { anyMoment, type Scenario } from './scenario.ts'

/**
 * kill -9 of the only process, at any moment of its life: mostly while it folds, commits and runs effects, and each fourth
 * time, from the second on, right after it was given its tasks: while it takes them over and restores them. The next one
 * starts at once and gets the tasks when the group has given the dead member up, a session after its death.
 */
const FOLDING_ANSWERS = 50
/** About as long as four tasks of this size take to open. */
const OPENING_MS = 60

export const killProcess: Scenario = {
  name: 'kill-process',
  title: 'kill -9 of the processing process',
  times: { long: 50, short: 2 },
  async run(stage, times) {
    const trial = await openTrial(stage, 'kill')
    try {
      let victim = await trial.start()
      let [opening, unopened] = [0, 0]
      for (let n = 1; n <= times; n++) {
        const isOpening = n % 4 === 2
        if (isOpening) {
          await victim.assigned
          await anyMoment(0, OPENING_MS)
          opening += 1
        } else {
          await trial.progress(FOLDING_ANSWERS)
          await anyMoment(0, 1_000)
          // What is killed before it has done anything prolongs the fault before.
          trial.fault()
        }
        victim.signal('SIGKILL')
        await victim.exited
        if (isOpening && victim.status()?.isReady !== true) unopened += 1
        victim = trial.launch()
        stage.say(`kill ${n} of ${times}`)
      }
      await trial.progress(FOLDING_ANSWERS)
      const notes = opening === 0 ? [] : [`${unopened} of ${opening} died before their tasks were open`]
      return { ...(await trial.finish()), notes }
    } finally {
      await trial.close()
    }
  },
}
