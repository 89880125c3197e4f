import type { AnyExecutors } from '../runtime/run/executors.ts'
import { bound } from '../runtime/run/run.ts'
import { abortWith } from './finish-upload/effects/abort.ts'
import { completeWith } from './finish-upload/effects/complete.ts'
import { thinkingProcessors } from './index.ts'
import { probeObjectWith } from './probe-source/effects/probe.ts'
import { runRole, type Tools } from './process.ts'
import { publishWith } from './publish-playlist/effects/publish.ts'

/** The role `processors`: everything but FFmpeg's encoding. */
const executorsOf = ({ s3, completing, proxy, ffmpeg, config }: Tools): Readonly<Record<string, AnyExecutors>> => ({
  'finish-upload': { complete: completeWith(s3, completing), abort: abortWith(s3) },
  'probe-source': { probe: probeObjectWith(s3, proxy, ffmpeg) },
  'publish-playlist': { publish: publishWith(s3, config.s3Bucket) },
})

await runRole({
  name: 'processors',
  port: (config) => config.processorsPort,
  bind: (tools) => {
    const executors = executorsOf(tools)
    return thinkingProcessors(tools.settings).map((processor) => bound(processor, executors[processor.name]))
  },
})
