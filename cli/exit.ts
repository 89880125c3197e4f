import { UploadError } from '../ingest/sdk/index.ts'
import { BadInputError, describeError, ReelstreamError, UpstreamError } from '../platform/errors.ts'

/**
 * Exit codes of every command; scripts branch on them, and on the code that the message begins with.
 *
 *     0  done: `upload` = every upload is complete, `upload --wait` = every video is ready
 *     1  something unexpected failed: a bug
 *     2  the command line is not understood
 *     3  what was given cannot be taken: no such file, empty, refused by the gateway
 *     4  the product is not running here, or it or the server that is imported from cannot be reached
 *     5  an upload was begun and then failed or was aborted; one that failed is open, and the same command goes on with it
 *     6  `--wait`: an upload is complete, its video was rejected, failed or deleted
 *   130  ended by Ctrl-C; uploads stay open, and the same command goes on with them
 *   141  nobody reads what we print any more (`… | head`), as programs end that the system stops for it
 *
 * With several files: the code of the first one, in their order, that is not done.
 */
export const EXIT = {
  ok: 0,
  unexpected: 1,
  usage: 2,
  badInput: 3,
  unreachable: 4,
  uploadFailed: 5,
  notReady: 6,
  interrupted: 130,
  pipeClosed: 141,
} as const

/** A failure with an exit code of its own. */
export class CommandFailure extends Error {
  readonly code: string
  readonly exitCode: number

  constructor(code: string, message: string, exitCode: number) {
    super(message)
    this.name = 'CommandFailure'
    this.code = code
    this.exitCode = exitCode
  }
}

/** A source of ours that fails says why; to the upload client it is one that cannot be read. */
export const reasonOf = (error: unknown): unknown =>
  error instanceof UploadError && error.cause instanceof ReelstreamError ? error.cause : error

export const exitCodeOf = (error: unknown): number => {
  if (error instanceof CommandFailure) return error.exitCode
  if (error instanceof UploadError) return exitCodeOfUpload(error)
  if (error instanceof BadInputError) return EXIT.badInput
  if (error instanceof UpstreamError) return EXIT.unreachable
  return EXIT.unexpected
}

/** `CODE: sentence.` for what has a code; anything else is our mistake and shown whole. */
export const failureText = (error: unknown): string => {
  if (error instanceof UploadError || error instanceof CommandFailure) return `${error.code}: ${error.message}`
  if (error instanceof ReelstreamError) return describeError(error)
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

export const codeOf = (error: unknown): string =>
  error instanceof UploadError || error instanceof CommandFailure || error instanceof ReelstreamError
    ? error.code
    : 'UNEXPECTED'

/** Without the code. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** What the client finds wrong with the source itself. */
const OF_THE_SOURCE = ['FILE_UNREADABLE', 'FILE_CHANGED', 'FILE_DIFFERS', 'EMPTY_FILE']

const exitCodeOfUpload = ({ code, status }: UploadError): number => {
  if (code === 'CANCELLED' || code === 'INTERRUPTED') return EXIT.interrupted
  if (OF_THE_SOURCE.includes(code)) return EXIT.badInput
  if (status === null) return code === 'CONNECTION_FAILED' ? EXIT.unreachable : EXIT.uploadFailed
  if (status >= 500) return EXIT.unreachable
  return code === 'S3_REFUSED' ? EXIT.uploadFailed : EXIT.badInput
}
