import { ReelstreamError, UpstreamError } from '../platform/errors.ts'

/**
 * Runs a query. What the database throws becomes UpstreamError DATABASE_UNAVAILABLE: a 503 that says "again later".
 * SQLSTATE 0A000 (a plan was cached over a view that a rebuild has just replaced) is tried again at once.
 */
export const reading = async <T>(query: () => Promise<T>): Promise<T> => {
  for (let attempt = 1; ; attempt++) {
    try {
      return await query()
    } catch (error) {
      if (error instanceof ReelstreamError) throw error
      if (sqlStateOf(error) === FEATURE_NOT_SUPPORTED && attempt < ATTEMPTS) continue
      throw new UpstreamError('DATABASE_UNAVAILABLE', 'The database cannot be read right now.', { cause: error })
    }
  }
}

const FEATURE_NOT_SUPPORTED = '0A000'
const ATTEMPTS = 3

/** Where Prisma's driver adapter leaves the code of PostgreSQL. */
const sqlStateOf = (error: unknown): unknown =>
  (error as { meta?: { driverAdapterError?: { cause?: { originalCode?: unknown } } } } | null)?.meta?.driverAdapterError
    ?.cause?.originalCode
