import t from 'tap'
import { readConfig, requireSettings } from './config.ts'

t.test('an empty environment gives the documented defaults', async (t) => {
  const config = readConfig({})
  t.equal(config.webPort, 3000)
  t.same(config.kafkaBrokers, [])
  t.equal(config.host, '127.0.0.1', 'servers bind loopback by default')
  t.ok(Object.isFrozen(config))
})

t.test('all problems are reported at once', async (t) => {
  t.throws(() => readConfig({ WEB_PORT: 'eighty', LOCAL_SIGN_IN: 'perhaps', LOG_LEVEL: 'loud' }), {
    code: 'CONFIG_INVALID',
    message: /WEB_PORT.*\n.*LOCAL_SIGN_IN|LOG_LEVEL.*\nWEB_PORT/s,
  })
})

t.test('hours of an upload may be parts of one', async (t) => {
  t.equal(readConfig({ UPLOAD_EXPIRY_HOURS: '0.5' }).uploadExpiryHours, 0.5)
  for (const value of ['0', '0.0005', '721', 'Infinity', 'NaN', ' ', 'half']) {
    t.throws(() => readConfig({ UPLOAD_EXPIRY_HOURS: value }), { message: /a number from 0\.001 to 720/ }, value)
  }
})

t.test('parts are never longer than what a client can hold and hash as a whole', async (t) => {
  for (const name of ['PART_SIZE_BYTES', 'UNSIZED_PART_SIZE_BYTES']) {
    t.throws(() => readConfig({ [name]: String(1024 ** 3 + 1) }), { message: /from 5242880 to 1073741824/ }, name)
  }
})

t.test('a missing setting is named with what it is for', async (t) => {
  t.throws(() => requireSettings(readConfig({}), ['databaseUrl', 'kafkaBrokers']), {
    code: 'CONFIG_MISSING',
    message: /DATABASE_URL: PostgreSQL.*\nKAFKA_BROKERS/s,
  })
})
