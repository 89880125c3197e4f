/**
 * The pages as a Fastify plugin: library (`/`), upload (`/upload`) and watch (`/v/<videoId>`), and their assets.
 *
 * The pages know the API and the gateway by their paths on the same origin, so there is nothing to configure in them.
 * An asset's name is its content: immutable for a year. A page is revalidated with its ETag every time, and is the only
 * thing that changes with a release.
 */
import path from 'node:path'
import fastifyStatic from '@fastify/static'
import type {} from '@fastify/swagger'
import type { FastifyPluginAsync, FastifyReply } from 'fastify'
import { buildPages, type PAGES } from './build.ts'
import { type SecurityOptions, securityHeaders } from './security-headers.ts'

export interface WebOptions extends SecurityOptions {
  /** Where the built pages go; for tests. */
  readonly outDir?: string
}

const YEAR_MS = 365 * 24 * 60 * 60 * 1000

/** Builds the pages when their sources have changed, then serves them. @throws what buildPages throws */
const web: FastifyPluginAsync<WebOptions> = async (app, options) => {
  const { outDir } = await buildPages(options.outDir)
  const headers = securityHeaders(options)
  await app.register(fastifyStatic, {
    root: path.join(outDir, 'assets'),
    prefix: '/assets/',
    preCompressed: true,
    maxAge: YEAR_MS,
    immutable: true,
    index: false,
    setHeaders: (reply) => void reply.header('x-content-type-options', 'nosniff'),
  })
  const sendPage = (reply: FastifyReply, page: (typeof PAGES)[number]) =>
    reply.headers(headers).sendFile(`${page}.html`, outDir, { maxAge: 0, immutable: false, cacheControl: false })

  const page = { schema: { hide: true } } as const
  app.addHook('onSend', async (_request, reply) => {
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-cache')
  })
  app.get('/', page, (_request, reply) => sendPage(reply, 'library'))
  app.get('/upload', page, (_request, reply) => sendPage(reply, 'upload'))
  app.get('/v/:videoId', page, (_request, reply) => sendPage(reply, 'watch'))
}

export default web
