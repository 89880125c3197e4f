import type { FfmpegCommand } from '../../../media/arguments.ts'
import type { Ffmpeg, RunOptions, Sink } from '../../../media/ffmpeg.ts'
import { BugError, describeError, isRetryable, ReelstreamError } from '../../../platform/errors.ts'
import type { SourceRef } from '../../../schemas/generated.ts'
import type { ProxiedFile, RangeProxy } from '../../../storage/range-proxy.ts'
import type { S3Client } from '../../../storage/s3-client.ts'
import type { JobFailure } from '../generated.ts'

/** What the encoding executors need from the world. */
export interface EncodingTools {
  readonly s3: S3Client
  readonly bucket: string
  readonly proxy: RangeProxy
  readonly ffmpeg: Ffmpeg
  /** Threads of each x264 encoder: pinned, because another count gives other bytes. */
  readonly encoderThreads: number
}

/** Reads the source through the proxy while `use` runs. A fault on the way to the bytes is thrown in place of its effects. */
export const withSource = async <T>(
  proxy: RangeProxy,
  { bucket, objectKey: key, etag, sizeBytes }: SourceRef,
  use: (file: ProxiedFile) => Promise<T>,
): Promise<T> => {
  const file = proxy.register({ bucket, key, etag, sizeBytes })
  try {
    return await use(file)
  } catch (error) {
    throw file.failure() ?? error
  } finally {
    file.dispose()
  }
}

/** Runs one encode and returns its wall time, milliseconds. */
export const encode = async (
  ffmpeg: Ffmpeg,
  build: (outputUrls: readonly string[]) => FfmpegCommand,
  sinks: readonly Sink[],
  options: RunOptions,
): Promise<number> => (await ffmpeg.run(build, sinks, options)).wallMs

/**
 * The scheduler owns the retries of FFmpeg work, so a failed job is an outcome. Only what ends the run from outside (the
 * job was cancelled, the process gives up) is thrown on.
 */
export const failureOf = (error: unknown, signal: AbortSignal): JobFailure => {
  if (signal.aborted) throw error
  if (error instanceof BugError) return { code: error.code, detail: error.message, retryable: false }
  if (error instanceof ReelstreamError) {
    return { code: error.code, detail: error.message, retryable: isRetryable(error) }
  }
  return { code: 'TRANSCODE_ERROR', detail: describeError(error), retryable: true }
}
