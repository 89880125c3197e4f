import { setTimeout as delay } from 'node:timers/promises'
import { startThieves } from '../response-thief.ts'
import { openTrial, until } from '../trial.ts'
import type { Scenario } from './scenario.ts'

/**
 * Responses to what a transaction is made of are stolen between the engine and the brokers. Was it written? Was it
 * committed? Nobody says; the position in the changelog must.
 */
const PROBABILITY = 0.02
const PHASE_MS = 3_000

export const lostResponses: Scenario = {
  name: 'lost-responses',
  title: 'responses of Produce, AddPartitionsToTxn, EndTxn and InitProducerId stolen',
  times: { long: 10, short: 1 },
  async run(stage, times) {
    const thieves = await startThieves(stage.cluster)
    const trial = await openTrial(stage, 'lost', { detours: thieves.detours })
    try {
      await trial.start()
      for (let n = 1; n <= times; n++) {
        await trial.progress()
        const stolenBefore = thieves.total()
        trial.fault()
        thieves.steal(PROBABILITY)
        await delay(PHASE_MS)
        await until('something is stolen', () => thieves.total() > stolenBefore)
        thieves.steal(0)
        await trial.progress(stage.perSecond)
        stage.say(`phase ${n} of ${times}: ${thieves.summary()}`)
      }
      return { ...(await trial.finish()), notes: [`stolen: ${thieves.summary()}`] }
    } finally {
      await trial.close()
      await thieves.close()
    }
  },
}
