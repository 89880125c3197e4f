import type { FastifyPluginAsync } from 'fastify'
import { UpstreamError } from '../../../platform/errors.ts'
import { reading } from '../../../prisma/reading.ts'
import type { RouteOptions } from '../../context.ts'

/** GET /readyz: the catalogue can be read, and its changes are heard. */
const readyz: FastifyPluginAsync<RouteOptions> = async (app, { context }) => {
  app.get('/', { schema: { summary: 'Ready', tags: ['health'] }, logLevel: 'warn' }, async () => {
    await reading(() => context.db.video.findFirst({ select: { id: true } }))
    if (!context.positions.isListening()) {
      throw new UpstreamError('LISTENER_DOWN', 'Changes of the catalogue are not heard at the moment.')
    }
    return { status: 'ready' }
  })
}

export default readyz
