import { BadInputError } from '../../platform/errors.ts'

/** Where a list goes on: the last row that was handed out. Opaque to clients, and no statement about what is visible. */
export interface ListCursor {
  /** ISO, milliseconds. */
  readonly createdAt: string
  readonly id: string
}

export const encodeCursor = ({ createdAt, id }: ListCursor): string =>
  Buffer.from(JSON.stringify([createdAt, id])).toString('base64url')

/** Throws BadInputError CURSOR_INVALID. */
export const decodeCursor = (text: string): ListCursor => {
  try {
    const [createdAt, id] = JSON.parse(Buffer.from(text, 'base64url').toString()) as [unknown, unknown]
    if (typeof id === 'string' && typeof createdAt === 'string' && ISO.test(createdAt)) return { createdAt, id }
  } catch {
    // falls through: whatever it is, it is none of ours
  }
  throw new BadInputError('CURSOR_INVALID', 'The cursor is not one that this list gave out.')
}

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
