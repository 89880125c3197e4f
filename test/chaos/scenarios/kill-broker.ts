import { changelogOf, transactionalIdOf } from '../../../runtime/run/kafka-task-log.ts'
import { startPlainSenders } from '../plain-senders.ts'
import { coordinatorPartition, leadersOf, untilReplicated } from '../replicas.ts'
import { openTrial, type Trial } from '../trial.ts'
import { anyMoment, type Scenario } from './scenario.ts'

/**
 * kill -9 of one broker after the other, each of them a leader of inputs, answers and changelogs and a coordinator of
 * transactions and groups; work goes on without it; it comes back and catches up. Processes that live keep their tasks:
 * the death of a broker is no reason for a takeover. Beside the engine, plain idempotent producers write to all brokers
 * at once.
 */
export const killBroker: Scenario = {
  name: 'kill-broker',
  title: 'kill -9 of a broker, and its return',
  times: { long: 6, short: 1 },
  hitsEverybody: true,
  async run(stage, times) {
    const { brokers } = stage.cluster
    const trial = await openTrial(stage, 'broker')
    try {
      await trial.start()
      await trial.start()
      const rebalances = () => trial.processes.reduce((sum, each) => sum + each.linesWith('"tasks assigned"'), 0)
      const rebalancesBefore = rebalances()
      const senders = await startPlainSenders(trial.kafka, `plain-${trial.run}`)
      const roles: string[] = []
      for (let n = 0; n < times; n++) {
        const broker = brokers[n % brokers.length]
        if (broker === undefined) break
        await untilReplicated(trial.kafka)
        await trial.progress()
        roles.push(await roleOf(broker.id, trial))
        await anyMoment(0, 500)
        trial.fault()
        await broker.kill()
        await trial.progress(stage.perSecond)
        await broker.start()
        stage.say(`broker ${broker.id}, ${roles.at(-1)}: killed and back, ${n + 1} of ${times}`)
      }
      await trial.progress()
      const plain = await senders.stop()
      const outcome = await trial.finish()
      return {
        ...outcome,
        lost: outcome.lost + plain.missing,
        duplicated: outcome.duplicated + plain.duplicated,
        notes: [
          `plain producers: ${plain.acked} acknowledged, ${plain.missing} missing, ${plain.duplicated} doubled, ${plain.failedSends} sends failed`,
          `${rebalances() - rebalancesBefore} assignments of tasks`,
          `the dead broker was ${roles.join('; ')}`,
        ],
      }
    } finally {
      await trial.close()
      await untilReplicated(trial.kafka)
    }
  },
}

/** What dies with the broker. */
const roleOf = async (brokerId: number, { kafka, tally, partitions, run }: Trial): Promise<string> => {
  const changelogs = await leadersOf(kafka, changelogOf(tally.processor))
  const coordinators = await leadersOf(kafka, '__transaction_state')
  const coordinated = Array.from({ length: partitions }, (_, task) => {
    const id = transactionalIdOf(`chaos-${run}`, tally.processor, task)
    return coordinators[coordinatorPartition(id, coordinators.length)]
  })
  const mine = (leaders: readonly (number | undefined)[]) => leaders.filter((leader) => leader === brokerId).length
  return `leader of ${mine(changelogs)} and coordinator of ${mine(coordinated)} of ${partitions} tasks`
}
