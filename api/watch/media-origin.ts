/**
 * Objects of the media bucket, as a modest origin serves them: whole objects in a byte-bounded memory cache, one read
 * of S3 for all who ask for one object at the same time. Keys are written once, so what is cached never goes stale.
 *
 * This is for one machine and for filling an edge, not for an audience: a proxy or CDN in front delivers many times the
 * bytes per CPU second, and the URLs are made so that it can take them over.
 */
import type { Readable } from 'node:stream'
import { LRUCache } from 'lru-cache'
import { BadInputError, ReelstreamError } from '../../platform/errors.ts'
import { readObject, readWhole } from '../../storage/read-object.ts'
import type { MediaStore } from '../context.ts'
import type { ByteSpan } from './byte-range.ts'

export interface MediaOrigin {
  /** The object, whole. Throws BadInputError NOT_FOUND, MEDIA_TOO_LARGE; UpstreamError when S3 is away. */
  whole(key: string): Promise<Buffer>
  /** Length of the object; a small one is in memory then. */
  sizeBytes(key: string): Promise<number>
  /** The object or a part of it, as bytes in memory or, when it is large, as a stream of S3's answer. */
  part(key: string, span: ByteSpan | null): Promise<Buffer | Readable>
}

export interface MediaOriginOptions extends MediaStore {
  /** Bytes of all objects in memory together. */
  readonly cacheBytes: number
  /** Larger objects are streamed. */
  readonly maxCachedBytes: number
}

/** Six seconds of the largest rung are 2–3 MB. */
export const MEDIA_CACHE = { cacheBytes: 96 * 1024 * 1024, maxCachedBytes: 12 * 1024 * 1024 }

type Cached = { readonly body: Buffer } | { readonly largeBytes: number }

export const createMediaOrigin = ({ s3, bucket, cacheBytes, maxCachedBytes }: MediaOriginOptions): MediaOrigin => {
  const objects = new LRUCache<string, Cached>({
    maxSize: cacheBytes,
    sizeCalculation: (cached, key) => key.length + ('body' in cached ? cached.body.length : 0) + 1,
    fetchMethod: (key) => load(key),
  })
  const load = async (key: string): Promise<Cached> => {
    try {
      return { body: await readWhole(s3, { bucket, key }, maxCachedBytes) }
    } catch (error) {
      if (!(error instanceof ReelstreamError)) throw error
      if (error.code === 'OBJECT_TOO_LARGE') return { largeBytes: Number(error.facts.sizeBytes) }
      if (error.code === 'OBJECT_NOT_FOUND') throw new BadInputError('NOT_FOUND', 'There is no such file.')
      throw error
    }
  }
  const get = async (key: string): Promise<Cached> => objects.forceFetch(key)
  return {
    async whole(key) {
      const cached = await get(key)
      if ('body' in cached) return cached.body
      throw new BadInputError('MEDIA_TOO_LARGE', `A file of ${cached.largeBytes} bytes is not read as a whole.`)
    },
    async sizeBytes(key) {
      const cached = await get(key)
      return 'body' in cached ? cached.body.length : cached.largeBytes
    },
    async part(key, span) {
      const cached = await get(key)
      if ('body' in cached) return span === null ? cached.body : cached.body.subarray(span.first, span.last + 1)
      const { body } = await readObject(s3, { bucket, key }, span === null ? {} : { range: span })
      return body
    },
  }
}
