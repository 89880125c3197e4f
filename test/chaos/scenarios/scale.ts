import type { EngineProcess } from '../engine-process.ts'
import { openTrial, type Trial, until } from '../trial.ts'
import { anyMoment, type Scenario } from './scenario.ts'

/**
 * 2 → 3 → 1 processes under load. Tasks move to the third and back while they have work; those that leave are asked to
 * (SIGTERM), commit what they have and release their tasks.
 */
export const scale: Scenario = {
  name: 'scale',
  title: '2 → 3 → 1 processes under load',
  times: { long: 3, short: 1 },
  async run(stage, times) {
    const trial = await openTrial(stage, 'scale', { partitions: 6 })
    const drainsMs: number[] = []
    try {
      let [first, second] = [await trial.start(), await trial.start()]
      for (let n = 1; n <= times; n++) {
        await everyoneWorks(trial, [first, second])
        trial.fault()
        const third = await trial.start()
        await everyoneWorks(trial, [first, second, third])
        trial.fault()
        drainsMs.push(...(await Promise.all([leave(first), leave(second)])))
        await everyoneWorks(trial, [third])
        stage.say(`2 → 3 → 1, ${n} of ${times}; drained in ${drainsMs.slice(-2).join(' and ')} ms`)
        if (n < times) [first, second] = [third, await trial.start()]
      }
      return { ...(await trial.finish()), notes: [`drained in at most ${Math.max(...drainsMs)} ms`] }
    } finally {
      await trial.close()
    }
  },
}

const everyoneWorks = async (trial: Trial, processes: readonly EngineProcess[]): Promise<void> => {
  await until('the tasks are shared out', () => {
    const tasks = processes.flatMap((process) => process.status()?.tasks ?? [])
    const isFair = processes.every((process) => (process.status()?.tasks.length ?? 0) > 0)
    return isFair && new Set(tasks).size === trial.partitions && processes.every((each) => each.status()?.isReady)
  })
  await trial.progress()
  await anyMoment(0, 500)
}

/** Asks a process to end; how long it took, ms. */
const leave = async (process: EngineProcess): Promise<number> => {
  const startedAtMs = performance.now()
  process.signal('SIGTERM')
  await process.exited
  return Math.round(performance.now() - startedAtMs)
}
