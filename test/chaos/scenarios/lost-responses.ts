import { startThief } from '../response-thief.ts'
import { openTrial } from '../trial.ts'
import { anyMoment, type Scenario } from './scenario.ts'

/**
 * Responses to what a transaction is made of are stolen between the engine and the brokers. Was it written? Was it
 * committed? Nobody says; the position in the changelog must.
 */
const PROBABILITY = 0.02
const PHASE_MS = 3_000
/** After the ports of the broker and its controller, see stage.ts. */
const THIEF_OFFSET = 2

export const lostResponses: Scenario = {
  name: 'lost-responses',
  title: 'responses of Produce, AddPartitionsToTxn, EndTxn and InitProducerId stolen',
  times: { long: 10, short: 1 },
  async run(stage, times) {
    const { brokers } = stage.cluster
    const thieves = await Promise.all(brokers.map(({ port }) => startThief(port + THIEF_OFFSET, port)))
    const detours = Object.fromEntries(brokers.map(({ port }) => [port, port + THIEF_OFFSET]))
    const trial = await openTrial(stage, 'lost', { detours })
    try {
      await trial.start()
      for (let n = 1; n <= times; n++) {
        await trial.progress()
        trial.fault()
        for (const thief of thieves) thief.steal(PROBABILITY)
        await anyMoment(PHASE_MS, PHASE_MS)
        for (const thief of thieves) thief.steal(0)
        await trial.progress(stage.perSecond)
        stage.say(`phase ${n} of ${times}: ${stolenBy(thieves)}`)
      }
      return { ...(await trial.finish()), notes: [`stolen: ${stolenBy(thieves)}`] }
    } finally {
      await trial.close()
      await Promise.all(thieves.map((thief) => thief.close()))
    }
  },
}

const stolenBy = (thieves: readonly { readonly stolen: ReadonlyMap<string, number> }[]): string => {
  const total = new Map<string, number>()
  for (const [api, count] of thieves.flatMap(({ stolen }) => [...stolen])) total.set(api, (total.get(api) ?? 0) + count)
  return [...total].map(([api, count]) => `${count} ${api}`).join(', ') || 'none'
}
