import type { LogRecord, OutputRecord } from '../kafka/log-records.ts'
import type { Processor } from '../processor.ts'

/**
 * Where a record goes that can never be folded and that nothing has to wait for: one topic for all processors, with the
 * original key, bytes and headers, and with headers that say where it was read, by whom, and why it was refused. Written
 * in the transaction that moves the position over the record, so it is never lost and never there twice.
 */
export const DEAD_LETTERS_TOPIC = 'dead-letters'

/** Why something could not be folded. */
export interface Refusal {
  readonly code: string
  readonly detail: string
}

export const deadLetterOf = (record: LogRecord, refusal: Refusal, { name, version }: Processor): OutputRecord => ({
  topic: DEAD_LETTERS_TOPIC,
  key: record.key ?? '',
  value: record.value,
  headers: {
    ...record.headers,
    'dlq-topic': record.topic,
    'dlq-partition': String(record.partition),
    'dlq-offset': String(record.offset),
    'dlq-timestamp': String(record.timestampMs),
    'dlq-error-code': refusal.code,
    'dlq-error-message': refusal.detail,
    'dlq-processor': name,
    'dlq-version': String(version),
  },
})

/** The headers that the record had before it was refused. */
export const originalHeaders = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith('dlq-')))
