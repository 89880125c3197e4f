import { Readable } from 'node:stream'
import {
  type CreatedUpload,
  createUpload,
  fingerprintOf,
  isUploadSource,
  type UploadDetails,
  UploadError,
  type UploadMemory,
  type UploadSource,
} from '../ingest/sdk/index.ts'
import type { ChosenFile } from './chosen-files.ts'
import { MAX_TITLE } from './command-options.ts'
import type { Connection } from './connection.ts'
import { EXIT, exitCodeOf, reasonOf } from './exit.ts'
import { fileSource } from './file-source.ts'
import { mediaTypeOf } from './media-names.ts'
import type { FileReport } from './upload-report.ts'
import { waitUntilReady } from './wait-until-ready.ts'

/** What all files of one command have in common. */
export interface UploadCommand {
  readonly connection: Connection
  readonly memory: UploadMemory
  /** Of each file: its title is the name of the file unless it is given. */
  readonly details: Omit<UploadDetails, 'title'> & { readonly title?: string | undefined }
  readonly parallel: number
  readonly idempotencyKey: string | undefined
  /** For how long to go on trying while nobody answers. */
  readonly giveUpAfterMs: number
  readonly wait: boolean
  /** Ctrl-C: nothing is sent any more, and what was begun stays open. */
  readonly stop: AbortSignal
}

/** What is to be uploaded, and how it is let go of. */
export interface Opened {
  readonly source: UploadSource | ReadableStream<Uint8Array>
  readonly name: string
  /** By which it is found again; undefined where only a key can do that. */
  readonly path: string | undefined
  /** Of a source that names its upload itself; by default the command's. */
  readonly idempotencyKey?: string | undefined
  close(): Promise<void>
}

/** @throws BadInputError as fileSource, or what the file was chosen with */
export const openFile = async (file: ChosenFile): Promise<Opened> => {
  if (file.failure !== undefined) throw file.failure
  const source = await fileSource(file.path)
  return { source, name: source.name, path: file.path, close: () => source.close() }
}

/** @param name that the stream is to have as a file */
export const openStdin = async (name: string): Promise<Opened> => ({
  source: Readable.toWeb(process.stdin) as ReadableStream<Uint8Array>,
  name,
  path: undefined,
  close: async () => void process.stdin.destroy(),
})

/** Of one file: resolves with its exit code (exit.ts) as soon as it has one; never rejects. */
export interface RunningFile {
  /** Its bytes are sent, or will not be: the next file may begin. */
  readonly sent: Promise<number>
  /** As `sent`, and with --wait the video is ready, or will not be. */
  readonly settled: Promise<number>
}

export const uploadFile = (open: () => Promise<Opened>, report: FileReport, command: UploadCommand): RunningFile => {
  let created: CreatedUpload | undefined
  const send = async (): Promise<number> => {
    try {
      const opened = await open()
      try {
        return await sendOpened(opened, report, command, (upload) => {
          created = upload
        })
      } finally {
        await opened.close()
      }
    } catch (error) {
      const reason = reasonOf(error)
      report.failed(reason, result(created))
      return exitCodeOf(reason)
    }
  }
  const settle = async (): Promise<number> => {
    const code = await sent
    const video = result(created)
    if (code !== EXIT.ok || video === undefined || !command.wait) return code
    return waitUntilReady(video, command, report)
  }
  const sent = send()
  return { sent, settled: settle() }
}

const sendOpened = async (
  { source, name, path, ...opened }: Opened,
  report: FileReport,
  { connection, memory, details, parallel, idempotencyKey, giveUpAfterMs, stop }: UploadCommand,
  onCreated: (upload: CreatedUpload) => void,
): Promise<number> => {
  const { gatewayUrl, token } = connection
  const named: UploadDetails = {
    ...details,
    title: details.title ?? name.slice(0, MAX_TITLE),
    fileName: name,
    contentType: mediaTypeOf(name),
  }
  const upload = createUpload(source, {
    ...{ gatewayUrl, token, parallel, giveUpAfterMs, details: named },
    idempotencyKey: opened.idempotencyKey ?? idempotencyKey,
    ...(isUploadSource(source) && path !== undefined
      ? { memory, fingerprint: await fingerprintOf({ ...source, name: path }, gatewayUrl, named) }
      : {}),
  })
  let created: CreatedUpload | undefined
  let sentEverything = false
  upload.on('created', (answer) => {
    created = answer
    onCreated(answer)
    report.created(answer)
  })
  upload.on('resumed', report.resumed)
  upload.on('progress', report.progress)
  upload.on('waiting', report.waiting)
  upload.on('unremembered', (error) => report.note(`${error.message} (${String(error.cause)})`))
  upload.on('state', (state) => {
    if (state === 'completing' || state === 'uploading') sentEverything = state === 'completing'
  })
  const interrupt = () => upload.interrupt()
  stop.addEventListener('abort', interrupt)
  if (stop.aborted) interrupt()
  try {
    report.completed(await upload.done)
    return EXIT.ok
  } catch (error) {
    if (!(error instanceof UploadError && error.code === 'INTERRUPTED')) throw error
    const goOn = path === undefined ? `with --idempotency-key ${upload.idempotencyKey} and the same bytes` : 'as it is'
    report.interrupted(interruption(created, sentEverything, goOn), result(created))
    return EXIT.interrupted
  } finally {
    stop.removeEventListener('abort', interrupt)
  }
}

export const NOT_BEGUN = 'Interrupted before it began.'

const interruption = (created: CreatedUpload | undefined, sentEverything: boolean, goOn: string): string => {
  if (created === undefined) return NOT_BEGUN
  if (sentEverything) return 'Interrupted. Everything was sent: the upload completes by itself.'
  const until = new Date(created.expiresAtMs).toLocaleString('sv-SE', { dateStyle: 'short', timeStyle: 'short' })
  return `Interrupted. The upload stays open until ${until}: the same command, ${goOn}, goes on where it was.`
}

const result = (upload: CreatedUpload | undefined) =>
  upload === undefined ? undefined : { videoId: upload.videoId, watchUrl: upload.watchUrl }
