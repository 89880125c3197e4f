import { networkInterfaces } from 'node:os'
import { createAddressGuard } from '../ingest/import/address-guard.ts'
import { createGuardedRequests, type GuardedRequests } from '../ingest/import/guarded-request.ts'
import { openUrl, type UrlSource } from '../ingest/import/url-source.ts'
import type { Config } from '../platform/config.ts'
import { UpstreamError } from '../platform/errors.ts'
import { newId } from '../platform/ids.ts'
import { watchUrlAt } from './connection.ts'
import { differs, type EarlierImport, findEarlierImport, type GivenDetails, type ShownVideo } from './earlier-import.ts'
import { EXIT, exitCodeOf } from './exit.ts'
import { NOT_BEGUN, type Opened, type UploadCommand, uploadFile } from './upload-file.ts'
import { type FileReport, OWN_DETAILS } from './upload-report.ts'
import { waitUntilReady } from './wait-until-ready.ts'

/**
 * Imports what is behind a URL by downloading it here and uploading it like a file: part by part, through the gateway's
 * front door, with the same checksums and the same resuming (docs/adr/0019 says why no server does it).
 *
 * The upload is named by the URL and the version of the file that the server tells (ETag): the same command after an
 * interruption goes on with it, a file that was imported is not imported twice, and one that was replaced meanwhile is
 * another upload (earlier-import.ts).
 *
 * Resolves with the exit code, never rejects.
 */
export const importUrl = async (
  url: string,
  report: FileReport,
  command: UrlImportCommand,
  { config, timeoutMs }: { readonly config: Config; readonly timeoutMs: number },
): Promise<number> => {
  const requests = createGuardedRequests({ guard: createAddressGuard(config.importNetworks, ownAddresses()) })
  const signal = AbortSignal.any([command.stop, timeLimit(timeoutMs)])
  try {
    const source = await openUrl(url, { requests, maxBytes: config.maxUploadBytes, signal })
    const earlier = await earlierOf(source, command, signal)
    if (earlier.kind !== 'none' && differs(command.given, earlier.video)) report.note(OWN_DETAILS)
    if (earlier.kind === 'completed') {
      requests.close()
      return await completedBefore(earlier.video, report, command)
    }
    const opened = async () => openedUrl(source, requests, earlier.idempotencyKey)
    const details = earlier.kind === 'none' ? command.given : detailsOf(earlier.video)
    return await uploadFile(opened, report, { ...command, details }).settled
  } catch (error) {
    requests.close()
    if (command.stop.aborted) {
      report.interrupted(NOT_BEGUN, undefined)
      return EXIT.interrupted
    }
    report.failed(error, undefined)
    return exitCodeOf(error)
  }
}

export interface UrlImportCommand extends Omit<UploadCommand, 'details'> {
  readonly given: GivenDetails
}

/** As AbortSignal.timeout, with a reason that can be told. */
const timeLimit = (ms: number): AbortSignal => {
  const limit = new AbortController()
  const end = () => limit.abort(new UpstreamError('IMPORT_TIMED_OUT', `Not imported within ${ms / 60_000} minutes.`))
  setTimeout(end, ms).unref()
  return limit.signal
}

const earlierOf = async (
  { version }: UrlSource,
  { connection }: UrlImportCommand,
  signal: AbortSignal,
): Promise<EarlierImport> =>
  version === null ? { kind: 'none', idempotencyKey: newId() } : findEarlierImport(version, connection, signal)

const openedUrl = (source: UrlSource, requests: GuardedRequests, idempotencyKey: string): Opened => ({
  source: source.kind === 'streamed' ? source.stream : source,
  name: source.name,
  path: undefined,
  idempotencyKey,
  close: async () => requests.close(),
})

const completedBefore = async (
  { videoId }: ShownVideo,
  report: FileReport,
  command: UrlImportCommand,
): Promise<number> => {
  const video = { videoId, watchUrl: watchUrlAt(command.connection, videoId) }
  report.importedBefore(video)
  return command.wait ? waitUntilReady(video, command, report) : EXIT.ok
}

/** The gateway takes a key again only with what it came with first. */
const detailsOf = ({
  title,
  description,
  author,
  tags,
  visibility,
  metadata,
}: ShownVideo): UploadCommand['details'] => ({
  title,
  description,
  author,
  tags,
  visibility,
  ...(metadata === null ? {} : { metadata }),
})

const ownAddresses = (): readonly string[] =>
  Object.values(networkInterfaces()).flatMap((addresses) => (addresses ?? []).map(({ address }) => address))
