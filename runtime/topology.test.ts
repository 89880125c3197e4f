import t, { type Test } from 'tap'
import { type Edge, type Processor, type TopicRef, to } from './processor.ts'
import { deliveries, orders, sendOrders } from './testing/example.ts'
import { defineTopology } from './topology.ts'

/** One planted error per check of the graph, in a topology that is right but for it. */
const customers = [to(orders, ['OrderPlaced', 'OrderNoted', 'OrderWithdrawn'])]
const recipients = [to(deliveries, ['BoxSent', 'OrderSent', 'OrderLost', 'OrderLate'])]
const returns = { name: 'returns', partitions: 'returns', events: orders.events } satisfies TopicRef

const without = (edges: readonly Edge[], event: string): readonly Edge[] =>
  edges.map((edge) => ({ ...edge, events: edge.events.filter((name) => name !== event) }))

const refuses = (
  t: Test,
  sentence: string,
  processors: readonly Processor[],
  { external = customers, observed = recipients }: { external?: readonly Edge[]; observed?: readonly Edge[] } = {},
) =>
  t.throws(() => defineTopology(processors, { external, observed }), {
    name: 'ConfigError',
    code: 'TOPOLOGY_INVALID',
    message: `The topology does not hold:\n${sentence}`,
  })

t.test('holds when every event is written and read, and names each topic once', async (t) => {
  const topology = defineTopology([sendOrders], { external: customers, observed: recipients })
  t.same(topology.processors, [sendOrders])
  t.same(topology.topics, [orders, deliveries])
})

t.test('refuses two processors of one name: they would share a group and a changelog', async (t) => {
  refuses(t, 'two processors are called send-orders', [sendOrders, sendOrders])
})

t.test('refuses inputs that are cut differently: partition u of each belongs to task u', async (t) => {
  const reads = [...sendOrders.reads, to(returns, ['OrderPlaced'])]
  const external = [...customers, to(returns, ['OrderPlaced'])]
  const sentence = 'send-orders reads topics with unequal partitions: orders, returns'
  refuses(t, sentence, [{ ...sendOrders, reads }], { external })
  const alike = { ...returns, partitions: orders.partitions }
  const cutAlike = { ...sendOrders, reads: [...sendOrders.reads, to(alike, ['OrderPlaced'])] }
  t.doesNotThrow(() => defineTopology([cutAlike], { external, observed: recipients }))
})

t.test('looks at the closing and the confirming inputs, too', async (t) => {
  const edges = [to(returns, ['OrderWithdrawn'])]
  const external = [...customers, ...edges]
  const sentence = 'send-orders reads topics with unequal partitions: orders, returns'
  refuses(t, sentence, [{ ...sendOrders, closedBy: edges }], { external })
  refuses(t, sentence, [{ ...sendOrders, afterClose: edges }], { external })
  refuses(t, sentence, [{ ...sendOrders, confirmedBy: { send: edges } }], { external })
})

t.test('refuses an event that is written to two topics: emit is called by the event alone', async (t) => {
  const writes = [...sendOrders.writes, to({ ...deliveries, name: 'copies' }, ['OrderLost'])]
  const observed = [...recipients, to({ ...deliveries, name: 'copies' }, ['OrderLost'])]
  const sentence = 'send-orders writes OrderLost to two topics: emit could not tell which'
  refuses(t, sentence, [{ ...sendOrders, writes }], { observed })
})

t.test('refuses an input that nobody writes', async (t) => {
  const [placed, withdrawn] = [without(customers, 'OrderPlaced'), without(customers, 'OrderWithdrawn')]
  refuses(t, 'send-orders reads orders/OrderPlaced, which nobody writes', [sendOrders], { external: placed })
  refuses(t, 'send-orders reads orders/OrderWithdrawn, which nobody writes', [sendOrders], { external: withdrawn })
})

t.test('refuses an input whose topic is misspelt, though the event is written elsewhere', async (t) => {
  const reads = sendOrders.reads.map((edge) => ({ ...edge, topic: { ...orders, name: 'order' } }))
  const sentences = ['OrderPlaced', 'OrderNoted'].map(
    (event) => `send-orders reads order/${event}, which nobody writes`,
  )
  refuses(t, sentences.join('\n'), [{ ...sendOrders, reads }])
})

t.test('refuses an event that nobody reads', async (t) => {
  const observed = without(recipients, 'OrderLate')
  refuses(t, 'send-orders writes deliveries/OrderLate, which nobody reads', [sendOrders], { observed })
})

t.test('an event between two processors needs nobody outside', async (t) => {
  const audit = { ...sendOrders, name: 'audit', reads: [to(deliveries, ['OrderLate'])], closedBy: [], writes: [] }
  const observed = without(recipients, 'OrderLate')
  t.doesNotThrow(() => defineTopology([sendOrders, audit], { external: customers, observed }))
})

t.test('says every problem at once', async (t) => {
  const sentences = [
    'two processors are called send-orders',
    'send-orders reads orders/OrderNoted, which nobody writes',
    'send-orders reads orders/OrderNoted, which nobody writes',
    'send-orders writes deliveries/BoxSent, which nobody reads',
    'send-orders writes deliveries/BoxSent, which nobody reads',
  ]
  const options = { external: without(customers, 'OrderNoted'), observed: without(recipients, 'BoxSent') }
  refuses(t, sentences.join('\n'), [sendOrders, sendOrders], options)
})
