/**
 * A producer that shares no code with Reelstream: another system has a video in S3 already and claims it.
 *
 *     npm start
 *     npx node docs/examples/claim-upload-completed.ts clip.mp4 [.data/run.json]
 *
 * Claiming again changes nothing: the same object gives the same videoId and the same ce_id. On Node 24 stock kafkajs 2 prints
 * a TimeoutNegativeWarning (https://github.com/tulios/kafkajs/issues/1751); it means nothing.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { SchemaRegistry } from '@kafkajs/confluent-schema-registry'
import { Kafka, Partitioners } from 'kafkajs'

const [file = '', runFile = '.data/run.json'] = process.argv.slice(2)
const run = JSON.parse(readFileSync(runFile, 'utf8'))

// Stands for whatever put the object there.
const credentials = { accessKeyId: run.s3AccessKeyId, secretAccessKey: run.s3SecretAccessKey }
const s3 = new S3Client({ endpoint: run.s3Endpoint, region: 'us-east-1', forcePathStyle: true, credentials })
const object = { Bucket: 'reelstream-media', Key: `imports/${basename(file)}`, Body: readFileSync(file) }
const etag = String((await s3.send(new PutObjectCommand(object))).ETag).replaceAll('"', '')

// The claim itself: Avro by the registered schema, CloudEvents headers, keyed by video.
const videoId = createHash('sha256').update(`${object.Bucket}/${object.Key}/${etag}`).digest('hex').slice(0, 32)
const title = basename(file)
const details = { title, description: '', author: '', tags: [], visibility: 'PUBLIC', fileName: title, metadata: '{}' }
const claim = {
  ...{ bucket: object.Bucket, objectKey: object.Key, etag, sizeBytes: object.Body.length, checksum: null },
  ...{ authorId: 'local', details, sealedDetails: null },
}
const registry = new SchemaRegistry({ host: run.schemaRegistryUrl })
const value = await registry.encode(await registry.getLatestSchemaId('reelstream.UploadCompleted'), claim)
// The default partitioner is that of every Kafka client: a video keeps its partition.
const kafka = new Kafka({ clientId: 'importer', brokers: run.kafkaBrokers.split(',') })
const producer = kafka.producer({ idempotent: true, createPartitioner: Partitioners.DefaultPartitioner })
await producer.connect()
const headers = {
  ...{ ce_specversion: '1.0', ce_id: `import-${videoId}`, ce_type: 'reelstream.UploadCompleted' },
  ...{ ce_source: '/importer', ce_time: new Date().toISOString(), 'content-type': 'application/vnd.confluent.avro' },
}
await producer.send({ topic: 'video-intake', messages: [{ key: videoId, value, headers }] })
await producer.disconnect()
process.stdout.write(`Claimed. See ${run.webUrl}/v/${videoId}\n`)
