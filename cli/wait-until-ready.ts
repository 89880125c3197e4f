import type { CompletedUpload } from '../ingest/sdk/index.ts'
import { EXIT, exitCodeOf } from './exit.ts'
import { followPipeline, type Waiting } from './follow-pipeline.ts'
import type { FileReport } from './upload-report.ts'

/** Follows a video that is in the pipeline and tells the report; resolves with the exit code, never rejects. */
export const waitUntilReady = async (video: CompletedUpload, waiting: Waiting, report: FileReport): Promise<number> => {
  try {
    await followPipeline(video.videoId, waiting, report)
  } catch (error) {
    report.failed(error, video)
    return exitCodeOf(error)
  }
  if (waiting.stop.aborted) {
    report.interrupted('Not waiting any longer. The video goes on by itself.', video)
    return EXIT.interrupted
  }
  report.ready(video)
  return EXIT.ok
}
