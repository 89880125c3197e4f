import { jwtVerify } from 'jose'
import t from 'tap'
import { readConfig } from '../platform/config.ts'
import { localAuthorId } from '../platform/http/author-token.ts'
import { localServerPorts } from './servers.ts'
import { localToken, localUrl, productSettings } from './settings.ts'

const secrets = { s3AccessKeyId: 'key', s3SecretAccessKey: 'secret', jwtSecret: 'x'.repeat(64) }
const role = { name: 'front', title: 'Front', entry: '/front.ts', portSetting: 'WEB_PORT', port: 3333 }
const servers = { KAFKA_BROKERS: '127.0.0.1:1' }

t.test('processes get the servers, their ports and a secret to check tokens with', async (t) => {
  t.same(productSettings(readConfig({}), '/data', servers, [role], secrets), {
    KAFKA_BROKERS: '127.0.0.1:1',
    DATA_DIR: '/data',
    WEB_PORT: '3333',
    IMPORT_SOURCES: '*',
    JWT_SECRET: secrets.jwtSecret,
    LOCAL_SIGN_IN: 'true',
    UPLOAD_HANDLE_SECRET: secrets.jwtSecret,
  })
})

t.test('with an identity provider nobody is signed in by one click', async (t) => {
  const config = readConfig({ JWKS_URL: 'https://id.example/keys' })
  const settings = productSettings(config, '/data', servers, [role], secrets)
  t.notOk('LOCAL_SIGN_IN' in settings || 'JWT_SECRET' in settings)
  t.equal(await localToken(config, secrets), '')
  t.equal(settings.UPLOAD_HANDLE_SECRET, secrets.jwtSecret, 'upload handles are our own all the same')
})

t.test('the local token is signed with the secret that the processes check it with', async (t) => {
  const token = await localToken(readConfig({}), secrets)
  const { payload } = await jwtVerify(token, new TextEncoder().encode(secrets.jwtSecret))
  t.equal(payload.sub, localAuthorId('Local author'), 'as the one-click sign-in of a page names the same person')
})

t.test('people are sent to localhost, whatever address was bound', async (t) => {
  t.equal(localUrl('127.0.0.1', 3000), 'http://localhost:3000')
  t.equal(localUrl('0.0.0.0', 3000), 'http://localhost:3000')
  t.equal(localUrl('media.lan', 80), 'http://media.lan:80')
})

t.test('a server that runs elsewhere needs no port here', async (t) => {
  const settings = (env: Record<string, string>) => localServerPorts(readConfig(env)).map(({ setting }) => setting)
  t.same(settings({}), ['KAFKA_PORT', 'KAFKA_PORT', 'REGISTRY_PORT', 'S3_PORT', 'POSTGRES_PORT'])
  t.same(settings({ KAFKA_BROKERS: 'a:1', S3_ENDPOINT: 'http://s3' }), ['REGISTRY_PORT', 'POSTGRES_PORT'])
})
