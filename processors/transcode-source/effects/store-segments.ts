import type { Fmp4Init } from '../../../media/fmp4.ts'
import type { Segment } from '../../../media/segmenter.ts'
import type { TrackHandlers } from '../../../media/track-sink.ts'
import { BugError, UpstreamError } from '../../../platform/errors.ts'
import type { InitSegment, RenditionSegments } from '../../../schemas/generated.ts'
import { alternativeKey, initKey, type RenditionRef, segmentKey } from '../../../storage/object-keys.ts'
import type { S3Client } from '../../../storage/s3-client.ts'
import { IMMUTABLE, putOnce, sha256 } from '../../../storage/write-once.ts'
import type { SegmentReport } from '../generated.ts'

/**
 * Stores the segments of a track as they close and reports an index once every rendition has it.
 *
 * Uploads run beside the encoder, one per rendition at a time: the encoder is held back by slow storage, never by a slow
 * sibling rendition (it writes all of them from one thread, so waiting for a sibling here would wait for ever). Segments
 * that an earlier run reported are neither uploaded nor reported again.
 */
export interface SegmentStore {
  /** What the encoder's output of one rendition is handed to. `refuse` may throw on the final count of samples. */
  handlersFor(rendition: string, refuse: (sampleCount: number) => void): TrackHandlers
  /** Resolves when everything is stored and every report is committed. */
  finished(): Promise<void>
}

export interface SegmentStoreSettings {
  readonly s3: S3Client
  readonly bucket: string
  readonly videoId: string
  readonly generation: number
  readonly track: string
  readonly renditions: readonly string[]
  /** Index of the first segment of the job: report n is segment firstIndex + n - 1. */
  readonly firstIndex: number
  readonly resumeFrom: number
  readonly signal: AbortSignal
  report(n: number, value: SegmentReport): Promise<void>
}

export const createSegmentStore = (settings: SegmentStoreSettings): SegmentStore => {
  const { renditions, firstIndex, resumeFrom } = settings
  const stored = new Map<number, Map<string, RenditionSegments>>()
  const pending: Promise<void>[] = []
  let reported = resumeFrom

  const watch = (work: Promise<void>): Promise<void> => {
    pending.push(work)
    // Thrown where it is awaited: by the next segment, or at the end. Until then nobody listens, which is no crash.
    work.catch(() => undefined)
    return work
  }

  const reportComplete = (): void => {
    for (;;) {
      const n = reported + 1
      const index = firstIndex + n - 1
      const found = stored.get(index)
      if (found === undefined || found.size < renditions.length) return
      stored.delete(index)
      reported = n
      const inOrder = renditions.map((rendition) => found.get(rendition) as RenditionSegments)
      void watch(settings.report(n, { index, renditions: inOrder }))
    }
  }

  return {
    handlersFor: (rendition, refuse) => {
      const ref: RenditionRef = { ...settings, rendition }
      let header: Promise<InitSegment> | null = null
      let uploading: Promise<void> = Promise.resolve()
      const storeHeader = async ({ bytes, codecs, timescale }: Fmp4Init): Promise<InitSegment> => {
        const object = await put(settings, initKey(ref), [bytes], 'video/mp4')
        return { ...object, sizeBytes: bytes.length, codecs, timescale }
      }
      const store = async (segment: Segment): Promise<void> => {
        if (header === null) throw new BugError('INIT_MISSING', `${rendition} has a segment before its header`)
        const { index } = segment.record
        const stores = put(settings, segmentKey(ref, index), segment.parts, 'video/iso.segment')
        const [init, object] = await Promise.all([header, stores])
        const ofIndex = stored.get(index) ?? new Map<string, RenditionSegments>()
        stored.set(index, ofIndex.set(rendition, { rendition, init, segments: [{ ...segment.record, ...object }] }))
        reportComplete()
      }
      return {
        // Not waited for: FFmpeg hands out the first segment with the header, and a viewer waits for both.
        init: async (part) => {
          header = storeHeader(part)
          void watch(header.then(() => undefined))
        },
        segment: async (segment) => {
          if (segment.record.index < firstIndex + resumeFrom) return
          await uploading
          uploading = watch(store(segment))
        },
        ended: async (sampleCount) => refuse(sampleCount),
      }
    },
    finished: async () => {
      // Uploads that end add reports to the list, so it is awaited until it does not grow any more.
      for (let done = 0; done < pending.length; done++) await pending[done]
      if (stored.size > 0) throw new BugError('SEGMENTS_UNEVEN', 'the renditions of the track have unequal segments')
    },
  }
}

const ALTERNATIVES = 20

/** Written once; where other bytes hold the key, under the first alternative that is free or equal. */
const put = async (
  { s3, bucket, signal }: SegmentStoreSettings,
  key: string,
  parts: readonly Uint8Array[],
  contentType: string,
): Promise<{ objectKey: string; checksum: string }> => {
  const body = Buffer.concat(parts)
  const checksum = sha256(body)
  for (let n = 0; n <= ALTERNATIVES; n++) {
    const objectKey = n === 0 ? key : alternativeKey(key, n)
    const object = { bucket, key: objectKey, body, contentType, cacheControl: IMMUTABLE, checksumSha256: checksum }
    if ((await putOnce(s3, object, { signal })) !== 'exists-different') return { objectKey, checksum }
  }
  throw new UpstreamError('KEY_TAKEN', `${key} and its alternatives hold other bytes`, { retryable: false })
}
