import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { BadInputError } from '../../platform/errors.ts'
import { hasCode } from '../../storage/s3-errors.ts'

/**
 * Whoever has no good token may try only so often: an address that failed too often is refused before its token is looked
 * at, a good one too, until its minute is over. Only failures count, so that people behind one address share nothing as
 * long as they can sign in.
 *
 * The address is `request.ip`: that of the connection, or what proxies on loopback and private networks say in
 * X-Forwarded-For (`trustProxy` in server.ts). Each process counts for itself.
 *
 * @param failures counts by address
 */
export const limitingFailures =
  (failures: FailureLimit, authenticate: (request: FastifyRequest) => Promise<void>) =>
  async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const limit = await failures(request, { increment: false })
    // Asked without counting: it is reached when the next one would be too many.
    if (!limit.isAllowed && limit.remaining === 0) {
      void reply.header('retry-after', String(limit.ttlInSeconds))
      throw new BadInputError('RATE_LIMITED', 'Too many requests without a good token came from this address.')
    }
    try {
      await authenticate(request)
    } catch (error) {
      if (hasCode(error, 'UNAUTHENTICATED')) await failures(request)
      throw error
    }
  }

type FailureLimit = ReturnType<FastifyInstance['createRateLimit']>
