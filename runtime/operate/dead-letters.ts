import { BadInputError } from '../../platform/errors.ts'
import type { IdempotentProducer } from '../kafka/idempotent-producer.ts'
import type { LogRecord, OutputRecord } from '../kafka/log-records.ts'
import type { PartitionReader } from '../kafka/partition-reader.ts'
import { DEAD_LETTERS_TOPIC, originalHeaders } from '../task/dead-letter.ts'

/** A record that was refused, with where it came from and why. `offset` in the topic of dead letters names it. */
export interface DeadLetter {
  readonly offset: bigint
  readonly atMs: number
  readonly processor: string
  readonly code: string
  readonly detail: string
  readonly topic: string
  readonly partition: number
  readonly key: string
  readonly value: Buffer | null
  /** Those of the record, as text (task/dead-letter.ts), without what its refusal added. */
  readonly headers: Readonly<Record<string, string>>
  /** Bytes of a record that was too large for a dead letter: it is still where it came from. Null: it is all here. */
  readonly omittedBytes: number | null
}

/** Every dead letter, oldest first, or those of one processor. They are never deleted: which were dealt with is not known. */
export const readDeadLetters = async (
  reader: PartitionReader,
  onLetter: (letter: DeadLetter) => void,
  processor?: string,
): Promise<void> => {
  const { beginning } = await reader.offsets(DEAD_LETTERS_TOPIC, 0)
  await reader.readToEnd(DEAD_LETTERS_TOPIC, 0, beginning, (records) => {
    for (const letter of records.map(letterOf)) {
      if (processor === undefined || letter.processor === processor) onLetter(letter)
    }
  })
}

/** BadInputError DEAD_LETTER_UNKNOWN. */
export const deadLetterAt = async (reader: PartitionReader, offset: bigint): Promise<DeadLetter> => {
  let found: DeadLetter | undefined
  await readDeadLetters(reader, (letter) => {
    if (letter.offset === offset) found = letter
  })
  if (found !== undefined) return found
  throw new BadInputError('DEAD_LETTER_UNKNOWN', `There is no dead letter ${offset}`)
}

/**
 * Appends the record once more to the door that it came from, with the bytes of its value, and with its key and headers as
 * the letter has them, as text (task/dead-letter.ts), after whatever the key's other records have brought about since. Who
 * reads a door decides on it anew: producers repeat themselves there, too.
 * BadInputError NOT_A_DOOR, LETTER_OMITTED.
 */
export const redrive = async (
  producer: IdempotentProducer,
  letter: DeadLetter,
  doors: ReadonlySet<string>,
): Promise<void> => {
  await producer.send([redriven(letter, doors)])
}

/**
 * The record that a redrive appends. Only to a door: a fact that one processor skipped was folded by all others, and
 * appended again it would be a second fact to them.
 */
export const redriven = (letter: DeadLetter, doors: ReadonlySet<string>): OutputRecord => {
  const { topic, partition, key, value, headers, offset, processor, omittedBytes } = letter
  if (!doors.has(topic)) {
    throw new BadInputError(
      'NOT_A_DOOR',
      `${topic} holds facts, which others have folded: \`reelstream processors reset ${processor}\` folds it at its place`,
      { facts: { topic } },
    )
  }
  if (omittedBytes !== null) {
    const detail = `The dead letter ${offset} does not hold its record of ${omittedBytes} bytes: see ${topic}/${partition}`
    throw new BadInputError('LETTER_OMITTED', detail)
  }
  return { topic, key, value, headers: { ...headers, 'redriven-from': `${DEAD_LETTERS_TOPIC}/${offset}` } }
}

/** A record of the topic of dead letters, read. */
export const letterOf = ({ offset, timestampMs, key, value, headers }: LogRecord): DeadLetter => ({
  offset,
  atMs: timestampMs,
  processor: headers['dlq-processor'] ?? '',
  code: headers['dlq-error-code'] ?? '',
  detail: headers['dlq-error-message'] ?? '',
  topic: headers['dlq-topic'] ?? '',
  partition: Number(headers['dlq-partition'] ?? -1),
  key: key ?? '',
  value,
  headers: originalHeaders(headers),
  omittedBytes: headers['dlq-omitted'] === undefined ? null : Number(headers['dlq-omitted']),
})
