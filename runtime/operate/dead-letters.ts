import { BadInputError } from '../../platform/errors.ts'
import type { IdempotentProducer } from '../kafka/idempotent-producer.ts'
import type { LogRecord } from '../kafka/log-records.ts'
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
  /** As they were before it was refused. */
  readonly headers: Readonly<Record<string, string>>
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
 * Appends the record once more to the topic that it came from, with its key, bytes and headers, after whatever the key's
 * other records have brought about since. Who reads it decides on it anew; the same ce_id still counts once.
 */
export const redrive = async (producer: IdempotentProducer, letter: DeadLetter): Promise<void> => {
  const { topic, key, value, headers, offset } = letter
  await producer.send([
    { topic, key, value, headers: { ...headers, 'redriven-from': `${DEAD_LETTERS_TOPIC}/${offset}` } },
  ])
}

const letterOf = ({ offset, timestampMs, key, value, headers }: LogRecord): DeadLetter => ({
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
})
