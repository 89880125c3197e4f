import { text } from 'node:stream/consumers'
import { SchemaRegistry } from '@kafkajs/confluent-schema-registry'
import { Kafka, logLevel } from 'kafkajs'

/**
 * A producer that shares no code with us, in a process of its own: stock kafkajs, stock registry client. Claims come as
 * JSON on stdin: { brokers, registryUrl, claims: [{ id, type, videoId, data }] }.
 */
interface Request {
  readonly brokers: string
  readonly registryUrl: string
  readonly claims: readonly {
    readonly id: string
    readonly type: string
    readonly videoId: string
    readonly data: object
  }[]
}

const { brokers, registryUrl, claims } = JSON.parse(await text(process.stdin)) as Request
const registry = new SchemaRegistry({ host: registryUrl })
const kafka = new Kafka({ clientId: 'foreign', brokers: brokers.split(','), logLevel: logLevel.NOTHING })
const producer = kafka.producer()
await producer.connect()
for (const { id, type, videoId, data } of claims) {
  const value = await registry.encode(await registry.getLatestSchemaId(`reelstream.${type}`), data)
  const headers = { ce_specversion: '1.0', ce_id: id, ce_type: `reelstream.${type}`, ce_source: '/foreign' }
  await producer.send({ topic: 'video-intake', messages: [{ key: videoId, value, headers }] })
}
await producer.disconnect()
