/**
 * From where producers may import. An entry is `*` (anywhere), `bucket`, or `bucket/folder`: everything below that
 * folder, but not `bucket/folder-of-somebody-else`. With ` for <ce_source>` behind it, it is for that producer alone:
 * `archive/incoming for /archive-importer`.
 *
 * A producer is whoever its claims say that it is: nothing in Kafka binds a ce_source to a credential. So the rule keeps
 * producers apart that make mistakes, and one that lies is kept out by the ACL of the door (SECURITY.md).
 *
 * Whatever is configured, the folder of another video in the media bucket is never a source: purging one video would
 * take the source of the other.
 */
export interface ObjectLocation {
  readonly bucket: string
  readonly objectKey: string
}

export const isAllowedSource = (
  object: ObjectLocation,
  { videoId, producer }: { readonly videoId: string; readonly producer: string | null },
  settings: { readonly mediaBucket: string; readonly importSources: readonly string[] },
): boolean =>
  isPlainKey(object.objectKey) &&
  settings.importSources.some((entry) => allows(entry, producer, object)) &&
  !isOfAnotherVideo(object, videoId, settings.mediaBucket)

const allows = (entry: string, producer: string | null, object: ObjectLocation): boolean => {
  const [, place = entry, only] = /^(.+) for (\S+)$/.exec(entry) ?? []
  return (only === undefined || only === producer) && covers(place, object)
}

const covers = (source: string, { bucket, objectKey }: ObjectLocation): boolean => {
  if (source === '*') return true
  const slash = source.indexOf('/')
  if (slash === -1) return source === bucket
  const folder = source.slice(slash + 1).replace(/\/*$/, '')
  return source.slice(0, slash) === bucket && (folder === '' || objectKey.startsWith(`${folder}/`))
}

const isOfAnotherVideo = ({ bucket, objectKey }: ObjectLocation, videoId: string, mediaBucket: string): boolean =>
  bucket === mediaBucket && /^\/*v\//.test(objectKey) && !objectKey.startsWith(`v/${videoId}/`)

/** S3 takes any key; some servers and proxies resolve dot segments, which would leave the allowed folder. */
const isPlainKey = (key: string): boolean =>
  key !== '' && !/\p{Cc}/u.test(key) && !key.split('/').some((segment) => segment === '.' || segment === '..')
