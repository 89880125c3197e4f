import t from 'tap'
import { readLadder } from '../../media/ladder-file.ts'
import { readConfig } from '../../platform/config.ts'
import { silentLogger } from '../../platform/log.ts'
import { createTestDatabase } from '../../prisma/testing.ts'
import { productTopology } from '../../processors/index.ts'
import { productSettings } from '../../processors/settings.ts'
import { migrateKafka } from './kafka.ts'
import { migrateProjections } from './projections.ts'
import { migrateSql } from './sql.ts'

t.test('tables of another release are folded anew and swapped, those of this one are left', async (t) => {
  const database = await createTestDatabase((url) => migrateSql(url, silentLogger))
  t.teardown(() => database.close())
  const config = { ...readConfig(), databaseUrl: database.url }
  await migrateKafka(config, productTopology(productSettings(config, readLadder(), 'migrate')), silentLogger)
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
