import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { v5 } from 'uuid'
import { nameUuids } from './name-uuid.ts'

const DNS = '6ba7b810-9dad-11d1-80b4-00c04fd430c8'

t.test('the example of the standard', async (t) => {
  t.equal(nameUuids(DNS)('www.example.com'), '2ed6657d-e927-568b-95e1-2665a8aea6a2') // RFC 9562, appendix A.4
})

t.test('the same as the uuid package, for any name in any namespace', async () => {
  const name = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme', minLength: 80, maxLength: 600 }))
  fc.assert(
    fc.property(fc.uuid(), fc.array(name, { minLength: 1, maxLength: 3 }), (namespace, names) => {
      const derive = nameUuids(namespace)
      for (const one of names) assert.equal(derive(one), v5(one, namespace))
    }),
  )
})
