import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'

/** A strong validator of these bytes. */
export const etagOf = (body: string | Buffer): string => `"${createHash('sha1').update(body).digest('base64url')}"`

/** Sends the body, or 304 when the client has it. */
export const sendWithEtag = (
  request: FastifyRequest,
  reply: FastifyReply,
  body: string | Buffer,
  etag: string = etagOf(body),
): FastifyReply => {
  void reply.header('etag', etag)
  if (matches(request.headers['if-none-match'], etag)) return reply.code(304).send()
  return reply.send(body)
}

/** If-None-Match compares weakly (RFC 9110 13.1.2): a proxy that compressed the body made the validator weak. */
export const matches = (header: string | undefined, etag: string): boolean => {
  const listed = header?.split(',') ?? []
  return listed.map((each) => each.trim().replace(/^W\//, '')).some((each) => each === etag || each === '*')
}
