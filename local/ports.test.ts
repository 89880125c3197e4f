import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import t from 'tap'
import { collisionMessage, freePorts, requireFreePorts } from './ports.ts'

const claim = (setting: string, port: number) => ({ what: 'Kafka', setting, host: '127.0.0.1', port })

t.test('the collision message names port, setting and use, and ends with a line to paste', async (t) => {
  const taken = [claim('KAFKA_PORT', 19092), { ...claim('KAFKA_PORT', 19093), what: "Kafka's controller", offset: 1 }]
  const message = collisionMessage(taken, [{ setting: 'KAFKA_PORT', port: 20100 }])
  t.match(message, '2 ports are in use')
  t.match(message, '127.0.0.1:19092 (KAFKA_PORT) is wanted for Kafka')
  t.match(message, "127.0.0.1:19093 (KAFKA_PORT + 1) is wanted for Kafka's controller")
  t.ok(message.endsWith('  KAFKA_PORT=20100 npm start'))
})

t.test('a port on which somebody listens is refused, a free one is not', async (t) => {
  const somebody = createServer().listen(0, '127.0.0.1')
  await once(somebody, 'listening')
  t.teardown(() => somebody.close())
  const { port } = somebody.address() as AddressInfo
  const [free = 0] = await freePorts(1)
  await t.rejects(requireFreePorts([claim('S3_PORT', port), claim('WEB_PORT', free)]), {
    code: 'PORT_IN_USE',
    message: new RegExp(`:${port} [(]S3_PORT[)]`),
  })
  await t.resolves(requireFreePorts([claim('WEB_PORT', free)]))
})

t.test('two settings with the same port collide with each other', async (t) => {
  const [free = 0] = await freePorts(1)
  await t.rejects(requireFreePorts([claim('S3_PORT', free), claim('WEB_PORT', free)]), { code: 'PORT_IN_USE' })
})

t.test('free ports are consecutive and below the range of outgoing connections', async (t) => {
  const ports = await freePorts(5)
  const [first = 0] = ports
  t.same(ports, [first, first + 1, first + 2, first + 3, first + 4])
  t.ok(first >= 20_000 && first + 4 < 32_000)
})
