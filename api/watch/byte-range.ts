import { BadInputError } from '../../platform/errors.ts'

/** Bytes `first` to `last`, both included. */
export interface ByteSpan {
  readonly first: number
  readonly last: number
}

/**
 * The one range that a Range header asks of `sizeBytes` bytes (RFC 9110 14.2); null = send everything: no header, an
 * unknown unit, a malformed or a multiple range, which a server may ignore and players do not use.
 * Throws BadInputError RANGE_NOT_SATISFIABLE when the range begins behind the end.
 */
export const spanOf = (header: string | undefined, sizeBytes: number): ByteSpan | null => {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? '')
  const [, from = '', to = ''] = match ?? []
  if (match === null || (from === '' && to === '')) return null
  if (from === '') return suffix(Number(to), sizeBytes)
  const first = Number(from)
  const last = to === '' ? sizeBytes - 1 : Math.min(Number(to), sizeBytes - 1)
  if (to !== '' && Number(to) < first) return null
  if (first >= sizeBytes) throw notSatisfiable(sizeBytes)
  return { first, last }
}

const suffix = (length: number, sizeBytes: number): ByteSpan => {
  if (length === 0 || sizeBytes === 0) throw notSatisfiable(sizeBytes)
  return { first: Math.max(0, sizeBytes - length), last: sizeBytes - 1 }
}

const notSatisfiable = (sizeBytes: number): BadInputError =>
  new BadInputError('RANGE_NOT_SATISFIABLE', `There are ${sizeBytes} bytes.`, { facts: { sizeBytes } })
