import t, { type Test } from 'tap'
import { silentLogger } from '../../platform/log.ts'
import { createTestDatabase } from '../../prisma/testing.ts'
import { migrateSql } from '../../scripts/migrate/sql.ts'
import { videoCatalogue } from '../video-catalogue/projection.ts'
import { createVersionListener, VERSIONS_CHANNEL } from './version-listener.ts'
import { createNextVersion, swapToBuilding } from './versions.ts'

const listening = async (t: Test) => {
  const database = await createTestDatabase((url) => migrateSql(url, silentLogger))
  t.teardown(() => database.close())
  const listener = createVersionListener(database.connect)
  t.teardown(() => listener.close())
  return { database, listener }
}

t.test('a swap wakes', async (t) => {
  const { database, listener } = await listening(t)
  const { changed } = await listener.listen()
  await createNextVersion(database.pg, videoCatalogue)
  await swapToBuilding(database.pg, videoCatalogue)
  await changed
  t.pass('woken')
})

t.test('a change between two looks is not missed', async (t) => {
  const { database, listener } = await listening(t)
  const { changed } = await listener.listen()
  const heard = database.pg.query(`LISTEN ${VERSIONS_CHANNEL}`)
  database.pg.once('notification', () => t.pass('it is over before anybody waits'))
  await heard
  await database.pg.query('SELECT pg_notify($1, $2)', [VERSIONS_CHANNEL, 'any'])
  await changed
})

t.test('a connection that was cut wakes, and listening again makes another', async (t) => {
  const { database, listener } = await listening(t)
  const { changed } = await listener.listen()
  await database.pg.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND query = 'LISTEN ${VERSIONS_CHANNEL}' AND pid <> pg_backend_pid()`)
  await changed
  const again = await listener.listen()
  await database.pg.query('SELECT pg_notify($1, $2)', [VERSIONS_CHANNEL, 'any'])
  await again.changed
  t.pass('woken twice')
})
