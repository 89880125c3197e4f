import type { Ffmpeg } from '../../../media/ffmpeg.ts'
import { isRejection } from '../../../media/probe.ts'
import { REJECTIONS } from '../../../media/rejections.ts'
import { SIGNATURE_BYTES } from '../../../media/signature.ts'
import type { Executor } from '../../../runtime/run/executors.ts'
import type { SourceRef } from '../../../schemas/generated.ts'
import type { RangeProxy } from '../../../storage/range-proxy.ts'
import { readRange } from '../../../storage/read-object.ts'
import type { S3Client } from '../../../storage/s3-client.ts'
import type { ProbeInput, ProbeOutcome } from '../generated.ts'

/**
 * Looks at the source through the loopback proxy. What is wrong with the file is an outcome; what was wrong on the way
 * to it is thrown and tried again, even when ffprobe blamed the file for bytes that never arrived.
 */
export const probeObjectWith =
  (s3: S3Client, proxy: RangeProxy, ffmpeg: Ffmpeg): Executor<ProbeInput, ProbeOutcome> =>
  async ({ source }, { signal, log }) => {
    const { bucket, objectKey: key, etag, sizeBytes } = source
    const head = await readHead(s3, source, signal)
    const file = proxy.register({ bucket, key, etag, sizeBytes })
    try {
      const result = await ffmpeg.probe(file.url, { sizeBytes, head }, { signal })
      const failure = file.failure()
      if (failure !== undefined) throw failure
      if (!isRejection(result)) return { source: result, rejection: null }
      log.info({ code: result.code, detail: result.detail }, 'source rejected')
      return { source: null, rejection: { code: result.code, detail: REJECTIONS[result.code] } }
    } catch (error) {
      throw file.failure() ?? error
    } finally {
      file.dispose()
    }
  }

const readHead = async (s3: S3Client, source: SourceRef, signal: AbortSignal): Promise<Uint8Array> => {
  const { bucket, objectKey: key, etag, sizeBytes } = source
  if (sizeBytes === 0) return new Uint8Array()
  const chunks: Uint8Array[] = []
  const last = Math.min(sizeBytes, SIGNATURE_BYTES) - 1
  for await (const chunk of readRange(s3, { bucket, key, etag }, { first: 0, last }, { signal })) chunks.push(chunk)
  return Buffer.concat(chunks)
}
