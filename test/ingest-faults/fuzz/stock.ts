import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { BugError } from '../../../platform/errors.ts'

/**
 * Uploads that the requests can be about. What they do ends them (they are sealed, complete or are deleted), so there are
 * new ones all the time; and deletions have their own, or nothing would be left for the others.
 *
 * Requests name them by a placeholder, which is filled in when they are sent: so the same seed makes the same requests,
 * whatever ids the product gives.
 */
export interface Stock {
  /** Of each author two that are kept, one of unknown length, and two that may be deleted, instead of those before. */
  renew(): Promise<void>
  /** Remembers the claims that an answer names, for `after`. */
  hear(answer: string): void
  /** The request with what its placeholders stand for at the moment. */
  fill(text: string): string
}

/** A part that fits any upload of the stock, and is stored in those that are kept. */
const BYTES = new TextEncoder().encode('bytes')
const PART = {
  sizeBytes: BYTES.length,
  checksumSha256: createHash('sha256').update(BYTES).digest('base64'),
}

/** Letters only, so that no encoding changes it. */
const placeholder = (kind: Kind, n: number): string => `KNOWN${kind}${n}X`
const PLACEHOLDER = /KNOWN(kept|doomed|claim|etag)(\d+)X/g
type Kind = 'kept' | 'doomed' | 'claim' | 'etag'
const several = (kind: Kind, count: number) => Array.from({ length: count }, (_, n) => placeholder(kind, n))

/** Ids for an operation: what deletes finds others. */
export const idsFor = (method: string): readonly string[] =>
  method === 'DELETE' ? several('doomed', 4) : [...several('kept', 8), ...several('doomed', 1)]

export const aClaim: fc.Arbitrary<string> = fc.constantFrom(...several('claim', 8))
export const aPartNumber: fc.Arbitrary<string> = fc.constantFrom('1', '1', '2')

const etag = fc.oneof(fc.constant(placeholder('etag', 0)), fc.constant('"0"'))
const partNumber = fc.constantFrom(1, 1, 2)
const windowOf = (part: fc.Arbitrary<{ readonly partNumber: number }>): fc.Arbitrary<object> =>
  fc.record({
    parts: fc.uniqueArray(part, { minLength: 1, maxLength: 2, selector: (each) => each.partNumber }),
  })
const constants = { sizeBytes: fc.constant(PART.sizeBytes), checksumSha256: fc.constant(PART.checksumSha256) }

/** Bodies that fit uploads of the stock, by operation. */
export const FITTING: Readonly<Record<string, fc.Arbitrary<object>>> = {
  'POST /uploads': fc.record({
    title: fc.constant('A'),
    fileName: fc.constant('a.mp4'),
    sizeBytes: fc.constantFrom(PART.sizeBytes, 20_000_000),
  }),
  'POST /uploads/{uploadId}/parts/sign': windowOf(fc.record({ partNumber, ...constants })),
  'POST /uploads/{uploadId}/parts': windowOf(fc.record({ partNumber, etag, ...constants })),
  'PUT /uploads/{uploadId}/parts/{partNumber}': fc.record({ etag, ...constants }),
  'POST /uploads/{uploadId}/seal': fc.constant({ partCount: 1, sizeBytes: PART.sizeBytes }),
}

/** @param call makes a request of an author, by number, and gives back the body of its answer */
export const openStock = (authors: number, call: Call): Stock => {
  const known: Record<Kind, string[]> = { kept: [], doomed: [], claim: [], etag: [] }
  const begin = async (author: number, sizeBytes: number | undefined) => {
    const details = { title: 'A', fileName: 'a.mp4', ...(sizeBytes === undefined ? {} : { sizeBytes }) }
    const { uploadId, claimId } = (await call(author, 'POST', '/uploads', details)) as Record<string, string>
    known.claim.push(String(claimId))
    return String(uploadId)
  }
  const store = async (author: number, uploadId: string): Promise<string> => {
    const wanted = { parts: [{ partNumber: 1, ...PART }] }
    const { parts } = (await call(author, 'POST', `/uploads/${uploadId}/parts/sign`, wanted)) as { parts: SignedPart[] }
    const [signed] = parts
    if (signed === undefined) throw new BugError('NOT_SIGNED', 'no part was signed')
    const stored = await fetch(signed.url, { method: 'PUT', headers: signed.headers, body: BYTES })
    if (!stored.ok) throw new BugError('NOT_STORED', `S3 answered ${stored.status}: ${await stored.text()}`)
    return stored.headers.get('etag')?.replaceAll('"', '') ?? ''
  }
  const keepOne = async (author: number, sizeBytes: number | undefined) => {
    const uploadId = await begin(author, sizeBytes)
    known.etag = [await store(author, uploadId)]
    return uploadId
  }
  return {
    async renew() {
      const kept: string[] = []
      const doomed: string[] = []
      for (let author = 0; author < authors; author++) {
        kept.push(await keepOne(author, PART.sizeBytes), await keepOne(author, undefined))
        doomed.push(await begin(author, PART.sizeBytes), await begin(author, undefined))
      }
      Object.assign(known, { kept, doomed, claim: known.claim.slice(-CLAIMS) })
    },
    hear(answer) {
      for (const [, claimId = ''] of answer.matchAll(/"claimId":"([^"]+)"/g)) known.claim.push(claimId)
    },
    fill: (text) =>
      text.replaceAll(PLACEHOLDER, (_all, kind: Kind, n: string) => {
        const values = known[kind]
        return values[Number(n) % values.length] ?? ''
      }),
  }
}

/** The newest ones are asked for. */
const CLAIMS = 8

type Call = (author: number, method: string, url: string, body: object) => Promise<unknown>

interface SignedPart {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
}
