import type { FastifyPluginAsync } from 'fastify'

/** GET /healthz: the event loop turns. */
const healthz: FastifyPluginAsync = async (app) => {
  app.get('/', { schema: { summary: 'Alive', tags: ['health'] }, logLevel: 'warn' }, async () => ({ status: 'ok' }))
}

export default healthz
