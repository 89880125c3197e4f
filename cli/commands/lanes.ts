/**
 * `reelstream lanes list|set`: the lanes that workers take their jobs from, and how many there are. What a change does, and
 * why it waits: cli/lanes.ts and cli/lane-change.ts.
 */
import { type Command, InvalidArgumentError } from 'commander'
import { type Config, SETTINGS } from '../../platform/config.ts'
import { topicSpecs } from '../../processors/topics.ts'
import { inputTopicsOf, type Processor } from '../../runtime/processor.ts'
import { changelogOf } from '../../runtime/run/kafka-task-log.ts'
import { interruptible } from '../interruptible.ts'
import { type LaneTools, lanesOf, setLanes } from '../lanes.ts'
import { stopLocalRole } from '../local-role.ts'
import { type OperatorSession, withOperator } from '../operator-session.ts'
import { jsonLine, table } from '../table.ts'

const MOST_LANES = 1024

export const registerLanes = (program: Command, config: Config): void => {
  const command = program.command('lanes').description('see and change the lanes that transcode workers share')
  command
    .command('list', { isDefault: true })
    .description('who holds each lane, and what it runs')
    .option('--json', 'one JSON object per line')
    .action((flags: { json?: boolean }) =>
      withOperator(config, async (session) => {
        const lanes = await lanesOf(toolsOf(config, session, new AbortController().signal))
        if (flags.json === true) for (const lane of lanes) console.log(jsonLine(lane))
        else {
          const rows = lanes.map(({ lane, workerId, jobs }) => [String(lane), workerId ?? '-', jobs.join(' ') || '-'])
          console.log(table([['LANE', 'WORKER', 'JOBS'], ...rows]))
        }
      }),
    )
  command
    .command('set')
    .description('change how many there are: at most so many worker processes share the work')
    .argument('<lanes>', `1 to ${MOST_LANES}`, laneCount)
    .option('--wait', 'wait until what runs is done and the workers are stopped; those of this machine are stopped')
    .action((lanes: number, flags: { wait?: boolean }) =>
      withOperator(config, (session) => changeLanes(lanes, flags.wait === true, config, session)),
    )
}

const changeLanes = async (lanes: number, wait: boolean, config: Config, session: OperatorSession): Promise<void> => {
  const changed = await interruptible(
    (signal) => setLanes(lanes, { wait }, toolsOf(config, session, signal)),
    'Interrupted; the lanes are as they were, and jobs are released again.',
  )
  const { env } = SETTINGS.lanes
  if (changed === true)
    console.log(
      `There are ${lanes} lanes now. Start every process with ${env}=${lanes} from here on, the workers first.`,
    )
  if (changed === false) console.log(`There are ${lanes} lanes already.`)
}

const toolsOf = (config: Config, operatorSession: OperatorSession, signal: AbortSignal): LaneTools => {
  const { session, producer, operator, processors } = operatorSession
  const [worker] = processors('transcode-source') as [Processor]
  const [scheduler] = processors('schedule-transcodes') as [Processor]
  const named = new Set([...inputTopicsOf(worker), changelogOf(worker)])
  return {
    session,
    producer,
    operator,
    appId: config.appId,
    worker,
    scheduler,
    topicsOf: (lanes) => topicSpecs({ ...config, lanes }, [worker]).filter(({ name }) => named.has(name)),
    say: (what) => console.error(`Waiting: ${what}`),
    stopWorkers: () => stopLocalRole(config, 'workers'),
    signal,
  }
}

const laneCount = (text: string): number => {
  const lanes = Number(text)
  if (Number.isInteger(lanes) && lanes >= 1 && lanes <= MOST_LANES) return lanes
  throw new InvalidArgumentError(`expected a whole number from 1 to ${MOST_LANES}.`)
}
