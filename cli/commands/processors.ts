/**
 * `reelstream processors list|plan|reset|release`: how far each processor is, and how one is rebuilt from the log.
 * What a replay does and does not do: ARCHITECTURE.md, "Guarantees".
 */
import type { Command } from 'commander'
import type { Config } from '../../platform/config.ts'
import type { TaskSummary } from '../../runtime/operate/operator.ts'
import type { ReplayPlan } from '../../runtime/operate/plan.ts'
import { confirm } from '../confirm.ts'
import { interruptible } from '../interruptible.ts'
import { stopLocalRole } from '../local-role.ts'
import { withOperator } from '../operator-session.ts'
import { resetWhenStopped } from '../reset-processor.ts'
import { jsonLine, table } from '../table.ts'

export const registerProcessors = (program: Command, config: Config): void => {
  const command = program
    .command('processors')
    .description('see how far the processors are, and rebuild one from the log')
  command
    .command('list [processor]', { isDefault: true })
    .description('position, lag, pending effects and blocked keys, task by task')
    .option('--json', 'one JSON object per line')
    .action((name: string | undefined, flags: { json?: boolean }) =>
      withOperator(config, async ({ operator, processors }) => {
        const rows = [['PROCESSOR', 'TASK', 'STATE', 'LAG', 'EFFECTS', 'BLOCKED KEYS']]
        for (const processor of processors(name)) {
          for (const task of await operator.tasks(processor)) {
            if (flags.json === true) console.log(jsonLine({ processor: processor.name, ...task }))
            rows.push(rowOf(processor.name, task))
          }
        }
        if (flags.json !== true) console.log(table(rows))
      }),
    )
  command
    .command('plan <processor>')
    .description('what a replay from the beginning would have left to do; changes nothing')
    .option('--json', 'one JSON object')
    .action((name: string, flags: { json?: boolean }) =>
      withOperator(config, async ({ operator, processors }) => {
        for (const processor of processors(name)) {
          const plan = await operator.plan(processor)
          console.log(flags.json === true ? jsonLine(plan) : describePlan(plan))
        }
      }),
    )
  command
    .command('reset <processor>')
    .description('forget what it remembers, so that it replays its inputs when it starts again; it must not be running')
    .option('--yes', 'without asking')
    .option('--wait', 'wait until no process runs it; one of this machine is stopped, and npm start starts it again')
    .action((name: string, flags: { yes?: boolean; wait?: boolean }) =>
      withOperator(config, async ({ operator, processors, roleOf }) => {
        for (const processor of processors(name)) {
          console.log(describePlan(await operator.plan(processor)))
          if (flags.yes !== true && !(await confirm(`Reset ${name}?`))) {
            console.log('Nothing was changed.')
            process.exitCode = 1
            return
          }
          const dropped = await (flags.wait === true
            ? whenStopped(() => operator.reset(processor), config, roleOf(processor))
            : operator.reset(processor))
          if (dropped !== null) console.log(`${dropped} entries dropped. ${name} replays its inputs when it starts.`)
        }
      }),
    )
  command
    .command('release <processor>')
    .description('let a replay do what it has left to do')
    .action((name: string) =>
      withOperator(config, async ({ operator, processors }) => {
        for (const processor of processors(name)) console.log(`${await operator.release(processor)} tasks released.`)
      }),
    )
}

/** Null: interrupted. */
const whenStopped = (
  reset: () => Promise<number>,
  config: Config,
  role: 'processors' | 'workers',
): Promise<number | null> =>
  interruptible(
    (signal) =>
      resetWhenStopped({
        reset,
        stopProcesses: () => stopLocalRole(config, role),
        say: (line) => console.error(`Waiting: ${line}`),
        signal,
      }),
    'Interrupted. Tasks that were reset already replay their inputs; say it again for the others.',
  )

const rowOf = (processor: string, { task, state, lag, pendingEffects, blockedKeys }: TaskSummary): string[] => {
  const behind = Object.values(lag).reduce((sum, records) => sum + records, 0)
  return [processor, String(task), state, String(behind), String(pendingEffects), String(blockedKeys)]
}

export const describePlan = ({ records, effectsByName, outputsByType, timers, blocked }: ReplayPlan): string => {
  const left = [
    ...Object.entries(effectsByName).map(([effect, count]) => `  run ${effect}: ${count}`),
    ...Object.entries(outputsByType).map(([type, count]) => `  emit ${type}: ${count}`),
    ...(timers === 0 ? [] : [`  fire timers: ${timers}`]),
    ...blocked.map(({ key, code, detail }) => `  block ${key}: ${code}, ${detail}`),
  ]
  const folded = `A replay folds ${records} records.`
  return left.length === 0 ? `${folded} Nothing is left to do.` : [`${folded} Left to do:`, ...left].join('\n')
}
