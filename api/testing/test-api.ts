/** For integration tests: the API over a database that the real projections fill from a log in memory. */
import Fastify, { type FastifyInstance } from 'fastify'
import pg from 'pg'
import type { Test } from 'tap'
import { BadInputError } from '../../platform/errors.ts'
import { createSignInLimit } from '../../platform/http/client-policy.ts'
import { silentLogger } from '../../platform/log.ts'
import { createTestDatabase, type TestDatabase } from '../../prisma/testing.ts'
import { superviseProjections } from '../../projections/engine/supervise.ts'
import { projections } from '../../projections/index.ts'
import { createMemoryLog, decodeJson, type MemoryLog } from '../../projections/testing/memory-log.ts'
import { waitUntil } from '../../projections/testing/wait-until.ts'
import type { VideoEvent } from '../../schemas/topics.ts'
import { migrateSql } from '../../scripts/migrate/sql.ts'
import api from '../app.ts'
import type { Viewers } from '../context.ts'
import { type ObjectServer, startObjectServer } from './object-server.ts'

export interface TestApi {
  readonly app: FastifyInstance
  readonly database: TestDatabase
  readonly objects: ObjectServer
  readonly log: MemoryLog
  /** Appends facts and waits until every projection has folded them. */
  tell(videoId: string, facts: readonly VideoEvent[]): Promise<void>
}

/** `Bearer <authorId>` is that author, `Bearer admin` an admin; `Bearer bad` is refused. */
const byName: Viewers = {
  authorOf: async (token: string) => {
    if (token === 'bad') throw new BadInputError('UNAUTHENTICATED', 'The token is not valid.')
    return { id: token, role: token === 'admin' ? ('ADMIN' as const) : ('AUTHOR' as const) }
  },
}

export interface TestApiOptions {
  /** When the log began; default: long ago, unless a test is about what is new. */
  readonly firstMomentMs?: number
  /** Who knows the tokens; default: as above. */
  readonly viewers?: Viewers
  /** Told of every route. */
  readonly onRoute?: (route: { readonly method: string | readonly string[]; readonly url: string }) => void
}

export const startTestApi = async (
  t: Test,
  { firstMomentMs, viewers = byName, onRoute }: TestApiOptions = {},
): Promise<TestApi> => {
  const database = await createTestDatabase((url) => migrateSql(url, silentLogger))
  const objects = await startObjectServer()
  const log = createMemoryLog(1, firstMomentMs)
  const supervisor = superviseProjections({
    db: database.db,
    reader: log.reader,
    decode: decodeJson,
    projections,
    partitionsOf: () => 1,
    connect: database.connect,
    log: silentLogger,
  })
  const app = Fastify()
  if (onRoute !== undefined) app.addHook('onRoute', onRoute)
  await app.register(api, {
    db: database.db,
    createClient: () => new pg.Client({ connectionString: database.url }),
    viewers,
    signIns: createSignInLimit({ perMinute: 600 }),
    media: objects,
    log: silentLogger,
  })
  await app.ready()
  await waitUntil('the API hears of changes', async () => (await app.inject('/readyz')).statusCode === 200)
  t.teardown(async () => {
    await app.close()
    await supervisor.stop()
    await Promise.all([database.close(), objects.close()])
  })
  return {
    app,
    database,
    objects,
    log,
    async tell(videoId, facts) {
      log.append(videoId, facts)
      const { end } = await log.reader.offsets('', 0)
      await waitUntil('the facts are folded', () => {
        const { detail } = supervisor.status()
        return detail.length === projections.length && detail.every(({ position }) => BigInt(position) >= end)
      })
    },
  }
}
