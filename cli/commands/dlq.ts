/** `reelstream dlq list|show|redrive`: records that were refused, and why. */
import type { Command } from 'commander'
import type { Config } from '../../platform/config.ts'
import { BadInputError } from '../../platform/errors.ts'
import { deadLetterAt, readDeadLetters, redrive } from '../../runtime/operate/dead-letters.ts'
import { inputsOf, type Processor } from '../../runtime/processor.ts'
import { withOperator } from '../operator-session.ts'
import { jsonLine, table } from '../table.ts'

export const registerDlq = (program: Command, config: Config): void => {
  const command = program.command('dlq').description('dead letters: records that were refused, and why')
  command
    .command('list [processor]', { isDefault: true })
    .description('all of them, oldest first')
    .option('--json', 'one JSON object per line, with headers and base64 bytes')
    .action((name: string | undefined, flags: { json?: boolean }) =>
      withOperator(config, async ({ session, processors }) => {
        if (name !== undefined) processors(name)
        const rows = [['LETTER', 'AT', 'PROCESSOR', 'FROM', 'KEY', 'WHY']]
        await readDeadLetters(
          session.reader,
          (letter) => {
            const { offset, atMs, processor, topic, partition, key, code, detail, value } = letter
            if (flags.json === true) console.log(jsonLine({ ...letter, value: value?.toString('base64') ?? null }))
            const at = new Date(atMs).toISOString()
            rows.push([String(offset), at, processor, `${topic}/${partition}`, key, `${code}: ${detail}`])
          },
          name,
        )
        if (flags.json !== true) console.log(rows.length === 1 ? 'There are no dead letters.' : table(rows))
      }),
    )
  command
    .command('show <letter>')
    .description('headers and bytes of one')
    .action((letter: string) =>
      withOperator(config, async ({ session }) => {
        const { headers, value, ...rest } = await deadLetterAt(session.reader, offsetOf(letter))
        for (const [name, text] of Object.entries({ ...rest, ...headers })) console.log(`${name}: ${text}`)
        console.log(`\n${value === null ? '(no value)' : value.toString('hex')}`)
      }),
    )
  command
    .command('redrive <letter>')
    .description('append it once more to the door that it came from')
    .action((letter: string) =>
      withOperator(config, async ({ session, producer, processors }) => {
        const found = await deadLetterAt(session.reader, offsetOf(letter))
        await redrive(producer, found, doorsOf(processors()))
        console.log(`Appended to ${found.topic} again.`)
      }),
    )
}

const doorsOf = (processors: readonly Processor[]): ReadonlySet<string> =>
  new Set(processors.flatMap(inputsOf).flatMap(({ topic }) => (topic.door === true ? [topic.name] : [])))

const offsetOf = (letter: string): bigint => {
  if (/^\d+$/.test(letter)) return BigInt(letter)
  throw new BadInputError('LETTER_INVALID', `"${letter}" is not the number of a dead letter (reelstream dlq list)`)
}
