import { MAX_MESSAGE_BYTES } from '../kafka/event-topic.ts'
import { type LogRecord, type OutputRecord, sizeOfRecord } from '../kafka/log-records.ts'
import type { Processor } from '../processor.ts'
import { isUsableKey } from './changelog.ts'

/**
 * Where a record goes that can never be folded and that nothing has to wait for: one topic for all processors, with the
 * original bytes of its value, with its key and headers as text, and with headers that say where it was read, by whom, and
 * why it was refused. Written in the transaction that moves the position over the record, so it is never lost and never
 * there twice.
 *
 * Text, because that is how records are read (kafka/fetched-records.ts): keys and headers of ours, and CloudEvents
 * headers of anybody, are UTF-8. Of a record that has others, bytes that are no UTF-8 have become U+FFFD in its letter, a
 * header without a value is left out, and of one that occurs twice the last is there. A redrive appends what the letter
 * has; `dlq-topic`, `dlq-partition` and `dlq-offset` say where the record is as it was, for as long as its topic keeps it.
 *
 * A record may be as large as the topic takes, and its dead letter is larger. Where that does not fit, or the broker refuses
 * the letter for another reason, the letter has only the headers that say where the record is, and `dlq-omitted`: what the
 * record takes, bytes. Its own topic still has it.
 */
export const DEAD_LETTERS_TOPIC = 'dead-letters'

/** Why something could not be folded. */
export interface Refusal {
  readonly code: string
  readonly detail: string
}

/** Enough to know what it was. A message may quote what it is about, and that may be an input as a whole. */
const DETAIL_CHARACTERS = 2_000

export const brief = ({ code, detail }: Refusal): Refusal => ({ code, detail: detail.slice(0, DETAIL_CHARACTERS) })

/** Largest dead letter, bytes: alone in a batch, in front of which are a header of 61 bytes and what may be added to it. */
const MAX_LETTER_BYTES = MAX_MESSAGE_BYTES - 1_000

/** `whole`: with what the record holds, if that fits. */
export const deadLetterOf = (
  record: LogRecord,
  refusal: Refusal,
  { name, version }: Processor,
  whole = true,
): OutputRecord => {
  const about = {
    'dlq-topic': record.topic,
    'dlq-partition': String(record.partition),
    'dlq-offset': String(record.offset),
    'dlq-timestamp': String(record.timestampMs),
    'dlq-error-code': refusal.code,
    'dlq-error-message': refusal.detail,
    'dlq-processor': name,
    'dlq-version': String(version),
  }
  const { value, headers } = record
  const letter = { topic: DEAD_LETTERS_TOPIC, key: record.key ?? '', value, headers: { ...headers, ...about } }
  const sizeBytes = sizeOfRecord(letter)
  if (whole && sizeBytes <= MAX_LETTER_BYTES) return letter
  const key = isUsableKey(record.key) ? record.key : ''
  return { ...letter, key, value: null, headers: { ...about, 'dlq-omitted': String(sizeBytes) } }
}

/** The headers that the record had before it was refused. */
export const originalHeaders = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith('dlq-')))
