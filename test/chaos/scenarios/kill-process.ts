import { openTrial } from '../trial.ts'
import { anyMoment, type Scenario } from './scenario.ts'

/**
 * kill -9 of the only process, at any moment of its life: mostly while it folds, commits and runs effects, and each fourth
 * time while it still joins or restores. The next one starts at once and gets the tasks when the group has given the dead
 * member up, a session after its death.
 */
const FOLDING_ANSWERS = 50

export const killProcess: Scenario = {
  name: 'kill-process',
  title: 'kill -9 of the processing process',
  times: { long: 50, short: 2 },
  async run(stage, times) {
    const trial = await openTrial(stage, 'kill')
    try {
      let victim = await trial.start()
      for (let n = 1; n <= times; n++) {
        const isWhileJoining = n % 4 === 0
        if (!isWhileJoining) await trial.progress(FOLDING_ANSWERS)
        await anyMoment(0, 1_000)
        // What is killed before it has done anything prolongs the fault before.
        if (!isWhileJoining) trial.fault()
        victim.signal('SIGKILL')
        await victim.exited
        victim = trial.launch()
        stage.say(`kill ${n} of ${times}`)
      }
      await trial.progress(FOLDING_ANSWERS)
      return { ...(await trial.finish()), notes: [] }
    } finally {
      await trial.close()
    }
  },
}
