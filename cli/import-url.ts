import { networkInterfaces } from 'node:os'
import { createAddressGuard } from '../ingest/import/address-guard.ts'
import { createGuardedRequests } from '../ingest/import/guarded-request.ts'
import { openUrl } from '../ingest/import/url-source.ts'
import type { Config } from '../platform/config.ts'
import { deriveId, newId } from '../platform/ids.ts'
import { type Opened, type RunningFile, type UploadCommand, uploadFile } from './upload-file.ts'
import type { FileReport } from './upload-report.ts'

/**
 * Imports what is behind a URL by downloading it here and uploading it like a file: part by part, through the gateway's
 * front door, with the same checksums and the same resuming (docs/adr/0019 says why no server does it).
 *
 * The upload is named by the URL and the version of the file that the server tells (ETag): the same command after an
 * interruption goes on with it, and a file that was replaced meanwhile is another upload.
 */
export const importUrl = (
  url: string,
  report: FileReport,
  command: UploadCommand,
  { config, timeoutMs }: { readonly config: Config; readonly timeoutMs: number },
): RunningFile => {
  const requests = createGuardedRequests({ guard: createAddressGuard(config.importNetworks, ownAddresses()) })
  const signal = AbortSignal.any([command.stop, AbortSignal.timeout(timeoutMs)])
  let idempotencyKey = command.idempotencyKey
  const open = async (): Promise<Opened> => {
    const source = await openUrl(url, { requests, maxBytes: config.maxUploadBytes, signal })
    idempotencyKey ??= source.version === null ? newId() : deriveId('import', source.version)
    const close = async () => requests.close()
    if (source.kind === 'streamed')
      return { source: source.stream, name: source.name, path: undefined, idempotencyKey, close }
    return { source, name: source.name, path: undefined, idempotencyKey, close }
  }
  return uploadFile(open, report, command)
}

const ownAddresses = (): readonly string[] =>
  Object.values(networkInterfaces()).flatMap((addresses) => (addresses ?? []).map(({ address }) => address))
