import t from 'tap'
import { sendOrders } from '../../runtime/testing/example.ts'
import { kafkaAcls } from './kafka-acls.ts'

const subjects = {
  appId: 'shop',
  thinking: [sendOrders],
  working: [],
  projections: [],
  topics: ['orders', 'deliveries'],
  door: 'orders',
  operated: [],
  admission: sendOrders,
}
const rightsOf = (name: string, of = subjects): readonly string[] =>
  (kafkaAcls(of).find(({ role }) => role === name)?.acls ?? []).map(
    ({ resource, name, isPrefix, operations }) => `${resource} ${name}${isPrefix ? '*' : ''}: ${operations.join(' ')}`,
  )

t.test('what a processor is allowed follows from what it declares', async (t) => {
  t.same(rightsOf('processors'), [
    'topic orders: Read DescribeConfigs',
    'topic deliveries: Read Write DescribeConfigs',
    'topic schema-ids: Read DescribeConfigs',
    'topic dead-letters: Write DescribeConfigs',
    'group send-orders: Read',
    'transactional-id shop.send-orders.*: Write',
    'topic send-orders-state: Read Write DescribeConfigs',
  ])
})

t.test('a role without processors may look at the topics, and do nothing', async (t) => {
  t.same(rightsOf('workers'), [
    'topic orders: Describe DescribeConfigs',
    'topic deliveries: Describe DescribeConfigs',
    'topic schema-ids: Describe DescribeConfigs',
    'topic dead-letters: Describe DescribeConfigs',
  ])
})

t.test('one processor more is one group, one changelog and its transactions more', async (t) => {
  const thinking = [sendOrders, { ...sendOrders, name: 'send-again' }]
  const before = rightsOf('processors')
  const more = rightsOf('processors', { ...subjects, thinking }).filter((right) => !before.includes(right))
  t.same(more, [
    'group send-again: Read',
    'transactional-id shop.send-again.*: Write',
    'topic send-again-state: Read Write DescribeConfigs',
  ])
})
