import { createRequire } from 'node:module'
import t from 'tap'
import { freshKafkajs } from './fresh-kafkajs.ts'
import { applyKafkajsPatches, KAFKAJS_PATCHES } from './index.ts'
import { assertPatchable, loadedKafkajsFiles, PATCHED_VERSION } from './modules.ts'

const require = createRequire(import.meta.url)

t.test('refuses any other version of kafkajs', async (t) => {
  freshKafkajs([])
  t.throws(() => assertPatchable('2.2.5'), {
    code: 'KAFKAJS_VERSION',
    facts: { version: '2.2.5', expected: PATCHED_VERSION },
  })
})

t.test('refuses to patch what somebody holds already', async (t) => {
  freshKafkajs([])
  require('kafkajs')
  t.throws(() => applyKafkajsPatches(), { code: 'KAFKAJS_LOADED_FIRST' })
})

t.test('the patches apply together, once, and the client loads', async (t) => {
  freshKafkajs([])
  applyKafkajsPatches()
  const before = loadedKafkajsFiles()
  applyKafkajsPatches()
  t.same(loadedKafkajsFiles(), before, 'the second call does nothing')
  t.type((require('kafkajs') as { Kafka: unknown }).Kafka, 'function')
  t.equal(new Set(KAFKAJS_PATCHES.map(({ name }) => name)).size, KAFKAJS_PATCHES.length)
})
