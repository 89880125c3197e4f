import { bound } from '../runtime/run/run.ts'
import { workerProcessors } from './index.ts'
import { runRole, type Tools } from './process.ts'
import { extractThumbnailsWith } from './transcode-source/effects/extract-thumbnails.ts'
import { transcodeAudioWith } from './transcode-source/effects/transcode-audio.ts'
import { transcodeVideoWith } from './transcode-source/effects/transcode-video.ts'

/** The role `workers`: FFmpeg runs here. As many processes as there are lanes may share the work. */
const executorsOf = ({ config, ...tools }: Tools) => {
  const encoding = { ...tools, bucket: config.s3Bucket, encoderThreads: config.encoderThreads }
  return {
    transcodeVideo: transcodeVideoWith(encoding),
    transcodeAudio: transcodeAudioWith(encoding),
    extractThumbnails: extractThumbnailsWith(encoding),
  }
}

/** The shortest that brokers allow by default: it is how long the jobs of a dead worker wait. */
const SESSION_TIMEOUT_MS = 6_000

await runRole({
  name: 'workers',
  port: (config) => config.workersPort,
  sessionTimeoutMs: SESSION_TIMEOUT_MS,
  bind: (tools) => workerProcessors(tools.settings).map((processor) => bound(processor, executorsOf(tools))),
})
