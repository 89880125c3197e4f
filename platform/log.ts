import { type Logger, pino } from 'pino'

export type { Logger } from 'pino'

/**
 * JSON lines on stdout. The message is a short constant phrase; what varies goes into fields
 * (`processor, topic, partition, offset, videoId, eventId, durationMs, code`). Tokens, keys and signed URLs never do.
 */
export const createLogger = (name: string, level: string): Logger =>
  pino(
    {
      name,
      level,
      base: { name, pid: process.pid },
      redact: {
        paths: ['*.authorization', '*.token', '*.secretAccessKey', '*.url', 'req.headers.authorization'],
        censor: '[redacted]',
      },
    },
    // Written at once: the last lines of a process that ends are in their order.
    pino.destination({ dest: 1, sync: true }),
  )

export const silentLogger: Logger = pino({ level: 'silent' })
