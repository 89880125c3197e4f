import type { KafkajsModules, KafkajsPatch } from './modules.ts'

interface FetchedRecord {
  readonly offset: string
  readonly key: Buffer | null
  readonly isControlRecord: boolean
  readonly batchContext: { readonly producerId: string; readonly inTransaction: boolean }
}

interface AbortedTransaction {
  readonly producerId: string | number
  readonly firstOffset: string | number
}

export type FilterAborted = (fetch: {
  readonly messages: FetchedRecord[]
  readonly abortedTransactions?: AbortedTransaction[] | null
}) => FetchedRecord[]

/**
 * Stock takes at most one aborted transaction per record from the list, takes the list as sorted by first offset (the
 * broker sorts by marker), ends a transaction at any record whose key looks like an abort marker, and lets a marker of
 * a transaction it has not entered yet end the next one. Measured with six interleaved producers: 225–507 of 1175 aborted
 * records delivered, and committed ones lost. This is what the Java client does (CompletedFetch).
 */
const filterAborted: FilterAborted = ({ messages, abortedTransactions }) => {
  if (!abortedTransactions?.length) return messages
  const begins = abortedTransactions
    .map(({ producerId, firstOffset }) => ({ producerId: String(producerId), firstOffset: BigInt(firstOffset) }))
    .sort((a, b) => (a.firstOffset < b.firstOffset ? -1 : a.firstOffset > b.firstOffset ? 1 : 0))
  const aborted = new Set<string>()
  let entered = 0
  return messages.filter((record) => {
    const offset = BigInt(record.offset)
    for (let next = begins[entered]; next !== undefined && next.firstOffset <= offset; next = begins[++entered]) {
      aborted.add(next.producerId)
    }
    const producerId = String(record.batchContext.producerId)
    if (record.isControlRecord) {
      if (isAbortMarker(record)) aborted.delete(producerId)
      return true // Batch drops control records itself and needs their offsets
    }
    return !(record.batchContext.inTransaction && aborted.has(producerId))
  })
}

/** Key of a control record: version int16, type int16; type 0 = abort (KIP-98). */
const isAbortMarker = ({ key }: FetchedRecord): boolean => key !== null && key.length >= 4 && key.readInt16BE(2) === 0

export const readCommittedFilter: KafkajsPatch = {
  name: 'read-committed-filter',
  apply: (modules: KafkajsModules) => modules.replace('consumer/filterAbortedMessages.js', filterAborted),
}
