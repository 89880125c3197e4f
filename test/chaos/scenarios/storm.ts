import { setTimeout as delay } from 'node:timers/promises'
import type { EngineProcess } from '../engine-process.ts'
import { untilReplicated } from '../replicas.ts'
import { startThieves } from '../response-thief.ts'
import { openTrial, type Trial } from '../trial.ts'
import { anyMoment, type Scenario } from './scenario.ts'

/**
 * Everything at once, by chance: three processes are killed, frozen, asked to leave and replaced, a broker dies and comes
 * back, responses are stolen, and nobody waits until one of it is over before the next begins. Only two brokers are never
 * away together, for then nothing can be written at all.
 */
const PROCESSES = 3
const STEAL_MS = 2_000
const STEAL_PROBABILITY = 0.05
const BROKER_AWAY_MS = 4_000

export const storm: Scenario = {
  name: 'storm',
  title: 'all of it at once, by chance',
  times: { long: 30, short: 0 },
  hitsEverybody: true,
  async run(stage, times) {
    const thieves = await startThieves(stage.cluster)
    const trial = await openTrial(stage, 'storm', { detours: thieves.detours, partitions: 6 })
    const underWay: Promise<void>[] = []
    let brokerIsAway = false
    const done: string[] = []
    const replace = (process: EngineProcess, signal: NodeJS.Signals) => {
      process.signal(signal)
      trial.launch()
    }
    const faults: Record<string, () => Promise<void>> = {
      kill: async () => replace(someOf(trial), 'SIGKILL'),
      leave: async () => replace(someOf(trial), 'SIGTERM'),
      freeze: async () => {
        const zombie = someOf(trial)
        zombie.signal('SIGSTOP')
        await delay(stage.sessionTimeoutMs + 1_000)
        zombie.signal('SIGCONT')
      },
      steal: async () => {
        thieves.steal(STEAL_PROBABILITY)
        await delay(STEAL_MS)
        thieves.steal(0)
      },
      broker: async () => {
        const broker = oneOf(stage.cluster.brokers)
        brokerIsAway = true
        await untilReplicated(trial.kafka)
        await broker.kill()
        await delay(BROKER_AWAY_MS)
        await broker.start()
        await untilReplicated(trial.kafka)
        brokerIsAway = false
      },
    }
    try {
      for (let n = 0; n < PROCESSES; n++) await trial.start()
      for (let n = 1; n <= times; n++) {
        const name = oneOf(Object.keys(faults).filter((each) => each !== 'broker' || !brokerIsAway))
        trial.fault()
        underWay.push(faults[name]?.() ?? Promise.resolve())
        done.push(name)
        stage.say(`${name}, ${n} of ${times}`)
        await anyMoment(200, 3_000)
      }
      await Promise.all(underWay)
      await trial.progress(stage.perSecond)
      const counts = [...Map.groupBy(done, (name) => name)].map(([name, all]) => `${all.length} × ${name}`)
      return { ...(await trial.finish()), notes: [counts.join(', '), `stolen: ${thieves.summary()}`] }
    } finally {
      await trial.close()
      await thieves.close()
    }
  },
}

const oneOf = <T>(items: readonly T[]): T => items[Math.floor(Math.random() * items.length)] as T

const someOf = ({ processes }: Trial): EngineProcess => oneOf(processes.filter((process) => !process.hasExited()))
