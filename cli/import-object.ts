import { kafkaClaimProducer } from '../ingest/kafka-claim-producer.ts'
import type { CompletedUpload } from '../ingest/sdk/index.ts'
import { systemClock } from '../platform/clock.ts'
import { type Config, requireSettings } from '../platform/config.ts'
import { BadInputError, UpstreamError } from '../platform/errors.ts'
import { deriveId, newId } from '../platform/ids.ts'
import type { UploadCompleted, VideoDetails } from '../schemas/generated.ts'
import { headObject } from '../storage/read-object.ts'
import { createS3Client, s3SettingsOf } from '../storage/s3-client.ts'
import { authorIdIn, type Connection, watchUrlAt } from './connection.ts'
import { attemptSuffix } from './earlier-import.ts'
import { CommandFailure, EXIT } from './exit.ts'
import { withOperator } from './operator-session.ts'

/** An object of the S3 that the product uses. */
export interface ObjectPlace {
  readonly bucket: string
  readonly key: string
}

export interface ObjectImport {
  readonly place: ObjectPlace
  readonly connection: Connection
  /** Whose video it becomes; default: whom the token is of. */
  readonly authorId: string | undefined
  readonly details: VideoDetails
}

/** Null for anything else. The key is taken as it stands: S3 knows no escapes. */
export const objectPlaceOf = (text: string): ObjectPlace | null => {
  const [, bucket, key] = /^s3:\/\/([^/]+)\/(.+)$/s.exec(text) ?? []
  return bucket === undefined || key === undefined ? null : { bucket, key }
}

/**
 * Imports an object by claiming it, as any producer does: the bytes stay where they are, and admission decides whether
 * they may be imported from there (IMPORT_SOURCES). The same object for the same author is the same video, so importing
 * it again changes nothing; one whose video was deleted becomes another video.
 *
 * Every attempt is a claim of its own, for one that was answered is not answered again: what was refused may be allowed
 * by now.
 * @throws BadInputError OBJECT_NOT_FOUND; CommandFailure with the code of the refusal; UpstreamError (retryable)
 */
export const importObject = async (config: Config, wanted: ObjectImport): Promise<ImportedObject> => {
  requireSettings(config, ['s3Endpoint'])
  const { place, connection, details } = wanted
  const authorId = wanted.authorId ?? authorIdIn(connection.token)
  const object = await stored(config, place)
  const claim: UploadCompleted = {
    bucket: place.bucket,
    objectKey: place.key,
    ...object,
    authorId,
    details,
    sealedDetails: null,
  }
  return withOperator(config, async ({ session, producer }) => {
    const claims = kafkaClaimProducer({ producer, codec: session.codec, clock: systemClock, source: '/reelstream/cli' })
    for (let attempt = 1; ; attempt++) {
      const videoId = deriveId('import', authorId, place.bucket, place.key, object.etag, ...attemptSuffix(attempt))
      const claimId = newId()
      await claims.claim('UploadCompleted', videoId, claim, { id: claimId })
      const refusal = await refusalOf(connection, videoId, claimId)
      const video = { videoId, watchUrl: watchUrlAt(connection, videoId) }
      if (refusal === null) return { video, isNew: true }
      if (refusal.code === 'ALREADY_IMPORTED') return { video, isNew: false }
      if (refusal.code !== 'VIDEO_DELETED') throw new CommandFailure(refusal.code, refusal.detail, EXIT.badInput)
    }
  })
}

export interface ImportedObject {
  readonly video: CompletedUpload
  /** False: an earlier import made it, and the details are its own. */
  readonly isNew: boolean
}

const stored = async (config: Config, { bucket, key }: ObjectPlace) => {
  const s3 = createS3Client(s3SettingsOf(config, 'cli'))
  try {
    const head = await headObject(s3, { bucket, key })
    if (head === null) throw new BadInputError('OBJECT_NOT_FOUND', `There is no object s3://${bucket}/${key}.`)
    const { etag, sizeBytes, checksumSha256 } = head
    // The log names composite checksums alone.
    return { etag, sizeBytes, checksum: checksumSha256?.includes('-') === true ? checksumSha256 : null }
  } finally {
    s3.destroy()
  }
}

const ATTEMPTS = 6

interface Refusal {
  readonly code: string
  readonly detail: string
}

/**
 * Null when the claim was admitted. `after` waits a few seconds by itself, so this is patience for a pipeline that is
 * behind.
 */
const refusalOf = async ({ apiUrl, token }: Connection, videoId: string, claimId: string): Promise<Refusal | null> => {
  for (let attempt = 1; ; attempt++) {
    const url = new URL(`/videos/${videoId}?after=${claimId}`, apiUrl)
    const answer = await fetch(url, { headers: { authorization: `Bearer ${token}` } })
    const { code = '', detail = '' } = (await answer.json()) as Partial<Refusal>
    // A private video of another author is nobody else's business, but its claim was answered.
    if (answer.ok || code === 'VIDEO_NOT_FOUND') return null
    if (answer.status < 500) return { code, detail }
    if (attempt === ATTEMPTS) throw new UpstreamError(code, `${detail} The claim stands; import again to see.`)
  }
}
