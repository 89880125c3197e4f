import { type Command, Option } from 'commander'
import { abortUpload, listUploads, type UploadSummary, waitUntilClosed } from '../../ingest/sdk/index.ts'
import type { Config } from '../../platform/config.ts'
import { type ConnectionFlags, connectionOptions } from '../command-options.ts'
import { findConnection } from '../connection.ts'
import { CommandFailure, codeOf, EXIT, exitCodeOf, failureText, messageOf } from '../exit.ts'
import { jsonLine, table } from '../table.ts'
import { fileMemory, uploadMemoryFile } from '../upload-memory.ts'
import { sizeText } from '../upload-report.ts'

/** `reelstream uploads list|abort`: the author's uploads as the log has them, wherever they were begun. */
interface ListFlags extends ConnectionFlags {
  readonly status?: UploadSummary['status']
  readonly json?: boolean
}

type AbortFlags = Omit<ListFlags, 'status'>

export const registerUploads = (program: Command, config: Config): void => {
  const command = program.command('uploads').description('uploads of the author: what is open, what was given up')
  connectionOptions(command.command('list', { isDefault: true }), 'ask')
    .description('all of them, newest first')
    .addOption(new Option('--status <status>', 'only these').choices(['open', 'completed', 'aborted']))
    .option('--json', 'one JSON object per line')
    .action((flags: ListFlags) => list(flags, config))
  connectionOptions(command.command('abort'), 'ask')
    .description('give open uploads up, here and in S3')
    .argument('<uploadIds...>', 'as `uploads list` shows them')
    .option('--json', 'one JSON object per line')
    .action(async (uploadIds: readonly string[], flags: AbortFlags) => {
      process.exitCode = await abort(uploadIds, flags, config)
    })
}

const list = async ({ status, json, ...flags }: ListFlags, config: Config): Promise<void> => {
  const { apiUrl, token } = await findConnection(config, flags)
  const rows = [['UPLOAD', 'STATUS', 'STORED', 'OF', 'EXPIRES', 'TITLE']]
  for await (const upload of listUploads({ apiUrl, token, status })) {
    if (json === true) console.log(jsonLine(upload))
    else rows.push(rowOf(upload))
  }
  if (json !== true) console.log(rows.length === 1 ? 'There are no such uploads.' : table(rows))
}

const rowOf = ({ uploadId, status, storedBytes, sizeBytes, expiresAt, title, code }: UploadSummary): string[] => [
  uploadId,
  code === null ? status : `${status} (${code})`,
  sizeText(storedBytes),
  sizeBytes === null ? '?' : sizeText(sizeBytes),
  status === 'open' ? expiresAt.slice(0, 16).replace('T', ' ') : '',
  title,
]

const STILL_OPEN = 'It is asked for, and not done yet: the pipeline is behind.'

/** The log decides; usually within a second. */
const ABORTED_WITHIN_MS = 30_000

/** @returns 0, or the exit code of the first that could not be given up; the others are */
const abort = async (uploadIds: readonly string[], flags: AbortFlags, config: Config): Promise<number> => {
  const { gatewayUrl, token } = await findConnection(config, flags)
  const memory = fileMemory(uploadMemoryFile(config.stateDir))
  const abortOne = async (uploadId: string): Promise<number> => {
    try {
      await abortUpload(uploadId, { gatewayUrl, token })
      const signal = AbortSignal.timeout(ABORTED_WITHIN_MS)
      const { status, code } = await waitUntilClosed(uploadId, { gatewayUrl, token, signal }).catch(
        (error: unknown) => {
          throw signal.aborted ? new CommandFailure('STILL_OPEN', STILL_OPEN, EXIT.unreachable) : error
        },
      )
      for (const upload of await memory.all()) {
        if (upload.uploadId === uploadId) await memory.forget(upload.fingerprint)
      }
      console.log(flags.json === true ? jsonLine({ uploadId, status, code }) : `${uploadId} is ${status}.`)
      return status === 'aborted' ? EXIT.ok : EXIT.badInput
    } catch (error) {
      const failure = { uploadId, status: null, code: codeOf(error), message: messageOf(error) }
      if (flags.json === true) console.log(jsonLine(failure))
      else console.error(`${uploadId}: ${failureText(error)}`)
      return exitCodeOf(error)
    }
  }
  const codes: number[] = []
  for (const uploadId of uploadIds) codes.push(await abortOne(uploadId))
  return codes.find((code) => code !== EXIT.ok) ?? EXIT.ok
}
