import { deriveId } from '../../platform/ids.ts'
import type { Job, JobKind, PublishedRendition, SourceRef, TranscodePlan } from '../../schemas/generated.ts'

/**
 * From a plan to the jobs that carry it out: one per chunk of the picture, one per sound track, and the thumbnails once
 * the pictures can be played. Sound comes first, since a growing playlist is as long as its shortest track, and sound
 * has slots of its own.
 */
export interface Encode {
  readonly videoId: string
  readonly generation: number
  readonly source: SourceRef
  readonly plan: TranscodePlan
}

/** In the order in which they are wanted. The same encode always gives the same job ids. */
export const encodingJobs = (encode: Encode): readonly Job[] => [
  ...encode.plan.audio.map(({ track }) => jobOf(encode, 'AUDIO', track, 0)),
  ...encode.plan.chunks.map(({ index }) => jobOf(encode, 'VIDEO', 'video', index)),
]

export const thumbnailsJob = (encode: Encode, playlistKey: string): Job => ({
  ...jobOf(encode, 'THUMBNAILS', 'thumbnails', 0),
  playlistKey,
})

/** The smallest picture: the storyboard is made from it, many times cheaper than from the source. */
export const smallestPicture = (renditions: readonly PublishedRendition[]): PublishedRendition | undefined =>
  renditions.filter(({ track }) => track === 'video').sort((a, b) => area(a) - area(b))[0]

const area = ({ width, height }: PublishedRendition): number => (width ?? 0) * (height ?? 0)

const jobOf = (encode: Encode, kind: JobKind, track: string, chunkIndex: number): Job => {
  const { videoId, generation, source, plan } = encode
  // A job carries only its own chunk: with all of them a day of video would be hundreds of megabytes of jobs.
  const chunks = kind === 'VIDEO' ? plan.chunks.filter(({ index }) => index === chunkIndex) : []
  return {
    jobId: deriveId('job', videoId, generation, track, chunkIndex),
    videoId,
    kind,
    generation,
    track,
    chunkIndex,
    source,
    plan: { ...plan, chunks },
    playlistKey: null,
  }
}
