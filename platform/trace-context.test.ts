import t from 'tap'
import { isTraceparent, newTrace, parseTraceparent, traceparentOf } from './trace-context.ts'

t.test('a traceparent is read and written', async (t) => {
  const text = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const context = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', flags: '01' }
  t.same(parseTraceparent(text), context)
  t.equal(traceparentOf(context), text)
})

t.test('what is none, or garbled, counts as none', async (t) => {
  const [trace, span] = ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331']
  const wrong = [`00-${'0'.repeat(32)}-${span}-01`, `00-${trace}-${'0'.repeat(16)}-01`, `00-${trace}-${span}`, 'x']
  for (const text of [null, undefined, '', ...wrong, `00-${trace.toUpperCase()}-${span}-01`]) {
    t.equal(parseTraceparent(text), null)
    t.notOk(isTraceparent(text ?? ''))
  }
})

t.test('a new trace is one, and no other', async (t) => {
  const [one, another] = [newTrace(), newTrace()]
  t.same(parseTraceparent(traceparentOf(one)), one)
  t.not(one.traceId, another.traceId)
})
