import { BugError } from '../../../platform/errors.ts'
import { openTrial } from '../trial.ts'
import { anyMoment, type Scenario } from './scenario.ts'

/**
 * Restores while the broker compacts what is being restored: small segments, rolled each second and cleaned all the time,
 * tombstones and markers dropped after seconds. Offsets vanish under the reader, batches become empty; the last value of
 * each entry must be there all the same.
 */
const CHANGELOG = {
  'segment.ms': '1000',
  'segment.bytes': String(1024 * 1024),
  'min.cleanable.dirty.ratio': '0.01',
  'max.compaction.lag.ms': '1000',
  'delete.retention.ms': '5000',
}

/** More than this of a changelog means that its broker has not compacted it, and nothing was shown. */
const MOST_LEFT = 0.8

export const compaction: Scenario = {
  name: 'compaction',
  title: 'kill -9 and restore while the changelog is compacted',
  times: { long: 6, short: 2 },
  async run(stage, times) {
    const trial = await openTrial(stage, 'compaction', { partitions: 2, keys: 50, changelog: CHANGELOG })
    try {
      let victim = await trial.start()
      for (let n = 1; n <= times; n++) {
        await trial.progress(2 * stage.perSecond)
        await anyMoment(0, 1_000)
        trial.fault()
        victim.signal('SIGKILL')
        await victim.exited
        victim = await trial.start()
        stage.say(`restore ${n} of ${times}`)
      }
      await trial.progress()
      const outcome = await trial.finish()
      const written = Number(await trial.changelogEnd())
      if (outcome.changelogRecords > written * MOST_LEFT) {
        throw new BugError('CHAOS_NOT_COMPACTED', `${outcome.changelogRecords} of ${written} offsets were left`)
      }
      return { ...outcome, notes: [`${outcome.changelogRecords} of ${written} changelog offsets were left`] }
    } finally {
      await trial.close()
    }
  },
}
