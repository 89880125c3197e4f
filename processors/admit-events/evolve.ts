import type { VideoEvent } from '../../schemas/topics.ts'
import type { AdmittedVideo } from './generated.ts'

/** The facts that change what may be admitted. */
export type AdmissionFact = Extract<
  VideoEvent,
  {
    type:
      | 'UploadStarted'
      | 'PartUploaded'
      | 'UploadSealed'
      | 'UploadAbortRequested'
      | 'UploadCompleted'
      | 'UploadAborted'
      | 'VideoDetailsChanged'
      | 'VideoDeleted'
  }
>

/**
 * One fact further. Folding a fact twice, or one's own fact again after others came between, gives the very same value:
 * every field moves one way only. So the state can be brought forward when a fact is emitted and again when it is read.
 */
export const evolve = (video: AdmittedVideo | undefined, fact: AdmissionFact): AdmittedVideo | undefined => {
  if (video === undefined) return born(fact)
  switch (fact.type) {
    case 'UploadSealed':
      return video.partCount === null ? { ...video, partCount: fact.data.partCount } : video
    case 'UploadCompleted':
      return video.upload === 'OPEN' ? { ...video, upload: 'COMPLETED', etag: fact.data.etag } : video
    case 'UploadAborted':
      return video.upload === 'OPEN' ? { ...video, upload: 'ABORTED' } : video
    case 'VideoDetailsChanged':
      return (fact.data.revision ?? 0) > video.revision ? { ...video, revision: fact.data.revision ?? 0 } : video
    case 'VideoDeleted':
      return video.deleted ? video : { ...video, deleted: true }
    case 'UploadStarted':
    case 'PartUploaded':
    case 'UploadAbortRequested':
      return video
  }
}

const born = (fact: AdmissionFact): AdmittedVideo | undefined => {
  const common = { revision: 1, deleted: false }
  if (fact.type === 'UploadStarted') {
    const { authorId, partSizeBytes, partCount } = fact.data
    return { ...common, ownerId: authorId, kind: 'UPLOAD', upload: 'OPEN', partSizeBytes, partCount, etag: null }
  }
  if (fact.type === 'UploadCompleted' && fact.data.authorId !== null) {
    const { authorId, etag } = fact.data
    return {
      ...common,
      ownerId: authorId,
      kind: 'IMPORT',
      upload: 'COMPLETED',
      partSizeBytes: null,
      partCount: null,
      etag,
    }
  }
  return undefined
}
