import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { type Envelope, envelopeHeaders, parseEnvelope } from './envelope.ts'

const hex = (length: number): fc.Arbitrary<string> =>
  fc
    .array(fc.constantFrom(...'0123456789abcdef'), { minLength: length, maxLength: length })
    .map((digits) => digits.join(''))
    .filter((text) => /[^0]/.test(text))
const traceparents = fc.tuple(hex(32), hex(16)).map(([trace, span]) => `00-${trace}-${span}-01`)

const envelopes: fc.Arbitrary<Envelope> = fc.record(
  {
    id: fc.uuid(),
    type: fc.string({ minLength: 1 }),
    source: fc.webPath(),
    timeMs: fc.integer({ min: 0, max: Date.UTC(2200, 0, 1) }),
    causationId: fc.option(fc.uuid()),
    traceparent: fc.option(traceparents),
  },
  { noNullPrototype: true },
)

t.test('what is written is what is read', async () => {
  fc.assert(fc.property(envelopes, (envelope) => assert.deepEqual(parseEnvelope(envelopeHeaders(envelope)), envelope)))
})

t.test('the headers are CloudEvents in binary mode', async (t) => {
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const envelope = { id: '1', type: 'shop.Sold', source: '/shop', timeMs: 0, causationId: '0', traceparent }
  t.same(envelopeHeaders(envelope), {
    ce_specversion: '1.0',
    ce_id: '1',
    ce_type: 'shop.Sold',
    ce_source: '/shop',
    ce_time: '1970-01-01T00:00:00.000Z',
    'content-type': 'application/vnd.confluent.avro',
    causationid: '0',
    traceparent,
  })
})

t.test('what a foreign producer leaves out or garbles is left out', async (t) => {
  t.same(parseEnvelope({}), { causationId: null, traceparent: null })
  const garbled = parseEnvelope({ ce_time: 'yesterday', traceparent: `00-${'0'.repeat(32)}-b7ad6b7169203331-01` })
  t.same(garbled, { causationId: null, traceparent: null })
})
