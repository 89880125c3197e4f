import { stat, writeFile } from 'node:fs/promises'
import t from 'tap'
import { type RunFile, readRunFile, removeRunFile, runFilePath, writeRunFile } from './run-file.ts'

const run: RunFile = {
  webUrl: 'http://localhost:3000',
  apiUrl: 'http://localhost:3000',
  gatewayUrl: 'http://localhost:3000',
  kafkaBrokers: '127.0.0.1:19092',
  schemaRegistryUrl: 'http://127.0.0.1:18081/apis/ccompat/v7',
  s3Endpoint: 'http://127.0.0.1:19000',
  databaseUrl: 'postgresql://reelstream@127.0.0.1:15432/reelstream',
  s3AccessKeyId: 'key',
  s3SecretAccessKey: 'secret',
  s3SessionToken: '',
  pids: { processors: 11, workers: 12, projections: 13, front: 14 },
  supervisorPid: 10,
  token: 'token',
}

t.test('only its owner may read it, even where a wider file lay before', async (t) => {
  const dataDir = t.testdir()
  await writeFile(`${runFilePath(dataDir)}.tmp`, '', { mode: 0o644 })
  await writeRunFile(dataDir, run)
  t.equal((await stat(runFilePath(dataDir))).mode & 0o777, 0o600)
  t.same(await readRunFile(dataDir), run)
})

t.test('there is none before the product is ready and after it stopped', async (t) => {
  const dataDir = t.testdir()
  t.equal(await readRunFile(dataDir), undefined)
  await writeRunFile(dataDir, run)
  await removeRunFile(dataDir)
  t.equal(await readRunFile(dataDir), undefined)
})
