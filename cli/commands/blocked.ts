/** `reelstream blocked list|show|retry|skip`: keys whose handler failed, and what waits behind them. */
import type { Command } from 'commander'
import type { Config } from '../../platform/config.ts'
import type { HeldOutput, QueuedInput } from '../../runtime/state/generated.ts'
import { CommandFailure, EXIT } from '../exit.ts'
import { type OperatorSession, withOperator } from '../operator-session.ts'
import { jsonLine, table } from '../table.ts'

export const registerBlocked = (program: Command, config: Config): void => {
  const command = program.command('blocked').description('keys that wait behind a failure of a processor')
  command
    .command('list [processor]', { isDefault: true })
    .description('all of them, with why')
    .option('--json', 'one JSON object per line')
    .action((name: string | undefined, flags: { json?: boolean }) =>
      withOperator(config, async ({ operator, processors }) => {
        const rows = [['PROCESSOR', 'KEY', 'SINCE', 'WAITING', 'WHY']]
        for (const processor of processors(name)) {
          for (const { key, atMs, queued, code, detail, task } of await operator.blocked(processor)) {
            const since = new Date(atMs).toISOString()
            if (flags.json === true)
              console.log(jsonLine({ processor: processor.name, task, key, since, queued, code, detail }))
            rows.push([processor.name, key, since, String(queued), `${code}: ${detail}`])
          }
        }
        if (flags.json !== true) console.log(rows.length === 1 ? 'No key is blocked.' : table(rows))
      }),
    )
  command
    .command('show <processor> <key>')
    .description('what waits, in its order')
    .action((name: string, key: string) =>
      withOperator(config, async ({ operator, processors }) => {
        for (const processor of processors(name)) {
          const { code, detail, outputs, queue } = await operator.blockedKey(processor, key)
          const rows = [...outputs.map(outputRow), ...queue.map(({ input }) => rowOf(input))]
          console.log(`${code}: ${detail}\n`)
          console.log(table([['WHAT', 'WHERE', 'AT', 'BYTES'], ...rows]))
        }
      }),
    )
  command
    .command('retry <processor> <key>')
    .description('fold what waits again: after a fix was deployed')
    .action((name: string, key: string) => withOperator(config, (session) => unblock(session, name, key, 'RETRY')))
  command
    .command('skip <processor> <key>')
    .description('put the first that waits among the dead letters, and go on behind it')
    .action((name: string, key: string) => withOperator(config, (session) => unblock(session, name, key, 'SKIP')))
}

const unblock = async (
  { operator, processors }: OperatorSession,
  name: string,
  key: string,
  command: 'RETRY' | 'SKIP',
): Promise<void> => {
  for (const processor of processors(name)) {
    const why = await operator.unblock(processor, key, command)
    if (why === null) console.log(`${key} is free.`)
    else throw new CommandFailure('STILL_BLOCKED', `${key} is blocked by ${why.code}: ${why.detail}`, EXIT.badInput)
  }
}

/** An event on its way out. */
const outputRow = ({ topic, headers, value }: HeldOutput): string[] => [
  headers.ce_type ?? 'event',
  `to ${topic}`,
  headers.ce_time ?? '',
  String(value.length),
]

const rowOf = ({ kind, topic, partition, offset, causeId, atMs, value, headers }: QueuedInput): string[] => [
  kind === 'RECORD' ? (headers.ce_type ?? 'record') : kind.toLowerCase(),
  kind === 'RECORD' ? `${topic}/${partition}@${offset}` : causeId,
  new Date(atMs).toISOString(),
  String(value?.length ?? 0),
]
