import type { EngineProcess } from '../engine-process.ts'
import { openTrial, type Trial, until } from '../trial.ts'
import { anyMoment, type Scenario } from './scenario.ts'

/**
 * SIGSTOP of one of two processes for longer than its session, then SIGCONT: the zombie. It wakes with records in its
 * mailbox, a transaction perhaps half done and every belief of an owner, while the other has long taken its tasks over.
 * Nothing of what it still wants to say may get in; it must learn that it was fenced, and become a member again.
 */
export const freezeProcess: Scenario = {
  name: 'freeze-process',
  title: 'SIGSTOP past the session, then SIGCONT',
  times: { long: 5, short: 1 },
  async run(stage, times) {
    const trial = await openTrial(stage, 'freeze')
    try {
      const processes = [await trial.start(), await trial.start()]
      for (let n = 0; n < times; n++) {
        const [zombie, heir] = n % 2 === 0 ? processes : processes.toReversed()
        if (zombie === undefined || heir === undefined) break
        await until('both have tasks', () => processes.every((process) => tasksOf(process) > 0))
        await trial.progress()
        await anyMoment(0, 500)
        trial.fault()
        zombie.signal('SIGSTOP')
        await until(
          'the heir has all tasks',
          () => tasksOf(heir) === trial.partitions && heir.status()?.isReady === true,
        )
        await trial.progress()
        zombie.signal('SIGCONT')
        await until('the zombie is a member again', () => tasksOf(zombie) > 0 && zombie.status()?.isReady === true)
        stage.say(`freeze ${n + 1} of ${times}`)
      }
      await trial.progress()
      return { ...(await trial.finish()), notes: [`${fencedIn(trial)} commits of a zombie were refused`] }
    } finally {
      await trial.close()
    }
  },
}

const tasksOf = (process: EngineProcess): number => process.status()?.tasks.length ?? 0

/** A refused commit leaves one line in the log of its process. */
const fencedIn = (trial: Trial): number =>
  trial.processes.reduce((sum, process) => sum + process.linesWith('"code":"FENCED"'), 0)
