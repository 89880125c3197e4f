import { createHash } from 'node:crypto'
import { listMultipartUploads } from '../../storage/multipart.ts'
import { readObject } from '../../storage/read-object.ts'
import { readFacts } from '../e2e/facts.ts'
import type { IngestFault } from './faults.ts'
import { BUCKET, type Stage } from './stage.ts'

/** What one trial came to. */
export interface Finding {
  readonly fault: IngestFault
  readonly videoId: string
  readonly faults: number
  readonly isSame: boolean
  readonly resentBytes: number
  readonly allowedBytes: number
  readonly durationMs: number
}

/** Heads of requests, and what is sent of them twice. */
const HEADS_BYTES = 256 * 1024

/** One upload, with one kind of fault in it. */
export const perform = async (fault: IngestFault, stage: Stage): Promise<Finding> => {
  const { line, connections, partSizeBytes, s3 } = stage
  const source = fault.isLong ? stage.longSource : stage.source
  const startedMs = performance.now()
  stage.reset()
  const { videoId, faults, allowedBytes = faults * connections * partSizeBytes } = await fault.run({ ...stage, source })
  const durationMs = performance.now() - startedMs
  const hash = createHash('sha256')
  const { body } = await readObject(s3, { bucket: BUCKET, key: keyOf(videoId) })
  for await (const chunk of body) hash.update(chunk as Buffer)
  return {
    ...{ fault, videoId, faults, allowedBytes, durationMs },
    isSame: hash.digest('hex') === source.sha256,
    resentBytes: Math.max(0, line.sentBytes() - source.sizeBytes - HEADS_BYTES),
  }
}

/** What is wrong with a trial, in words; empty when all promises were kept. */
export const wrongsOf = (finding: Finding, aftermath: Aftermath): readonly string[] => {
  const { videoId, faults, isSame, resentBytes, allowedBytes } = finding
  const completions = aftermath.completions.get(videoId) ?? 0
  return [
    ...(faults > 0 ? [] : ['the fault did not happen']),
    ...(isSame ? [] : ['the object is not the source']),
    ...(resentBytes <= allowedBytes ? [] : [`${resentBytes} bytes were sent again, ${allowedBytes} may be`]),
    ...(completions === 1 ? [] : [`UploadCompleted is recorded ${completions} times`]),
    ...(aftermath.openKeys.has(keyOf(videoId)) ? ['its multipart is still open in S3'] : []),
  ]
}

/** What all trials have left, in the log and in S3. */
export interface Aftermath {
  readonly completions: ReadonlyMap<string, number>
  readonly openKeys: ReadonlySet<string>
}

export const readAftermath = async ({ roles, s3 }: Stage): Promise<Aftermath> => {
  const { KAFKA_BROKERS: kafkaBrokers = '', SCHEMA_REGISTRY_URL: schemaRegistryUrl = '' } = roles.env
  const completions = new Map<string, number>()
  for (const { type, videoId } of await readFacts({ kafkaBrokers, schemaRegistryUrl })) {
    if (type === 'UploadCompleted') completions.set(videoId, (completions.get(videoId) ?? 0) + 1)
  }
  const openKeys = new Set<string>()
  for await (const { key } of listMultipartUploads(s3, { bucket: BUCKET, prefix: 'v/' })) openKeys.add(key)
  return { completions, openKeys }
}

const keyOf = (videoId: string): string => `v/${videoId}/source`
