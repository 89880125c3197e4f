import t from 'tap'
import { readConfig } from '../../platform/config.ts'
import { silentLogger } from '../../platform/log.ts'
import { createTestDatabase } from '../../prisma/testing.ts'
import { topicSpecs } from '../../processors/topics.ts'
import { SCHEMA_IDS_TOPIC } from '../../runtime/codec/schema-directory.ts'
import { realKafka } from '../../runtime/kafka/testing/real-kafka.ts'
import { ensureTopics } from '../../runtime/kafka/topics.ts'
import { videoEvents } from '../../schemas/topics.ts'
import { migrateProjections } from './projections.ts'
import { migrateSql } from './sql.ts'

t.test('tables of another release are folded anew and swapped, those of this one are left', async (t) => {
  const database = await createTestDatabase((url) => migrateSql(url, silentLogger))
  t.teardown(() => database.close())
  const config = { ...readConfig(), databaseUrl: database.url }
  const read: readonly string[] = [videoEvents.name, SCHEMA_IDS_TOPIC]
  await ensureTopics(
    realKafka(),
    topicSpecs(config, []).filter(({ name }) => read.includes(name)),
  )
  t.same(await migrateProjections(config, silentLogger), [])

  await database.db.$executeRaw`UPDATE engine.versions SET definition = 'older' WHERE projection = 'video-catalogue'`
  t.same(await migrateProjections(config, silentLogger), ['video-catalogue'])
  const versions = await database.db.$queryRaw`
    SELECT projection, version, state FROM engine.versions ORDER BY projection, version`
  t.same(versions, [
    { projection: 'video-catalogue', version: 1, state: 'previous' },
    { projection: 'video-catalogue', version: 2, state: 'live' },
    { projection: 'video-history', version: 1, state: 'live' },
  ])
  t.same(await migrateProjections(config, silentLogger), [])
})
