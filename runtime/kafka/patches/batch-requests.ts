import { BugError } from '../../../platform/errors.ts'
import { BatchBuilder } from '../record-batch.ts'
import type { KafkajsPatch } from './modules.ts'

interface ProduceRequest {
  readonly acks: number
  readonly timeout: number
  readonly transactionalId?: string | null
  readonly producerId?: number | bigint | string
  readonly producerEpoch?: number
  readonly compression?: number
  readonly topicData: readonly TopicData[]
}
interface TopicData {
  readonly topic: string
  readonly partitions: readonly { partition: number; firstSequence?: number; messages: unknown }[]
}

/** A request's body; stock has one buffer where we have its pieces. */
interface Payload {
  readonly buffer?: Buffer
  readonly pieces?: readonly Buffer[]
}
interface Request {
  readonly apiKey: number
  readonly apiVersion: number
  encode(): Promise<Payload>
}
export type CreateRequest = (of: {
  readonly correlationId: number
  readonly clientId: string
  readonly request: Request
}) => Promise<{ buffer: Buffer }>
export type ProduceV3 = (request: ProduceRequest) => Request

const PRODUCE = 0
const NOBODY = -1n

/**
 * Not a defect but a price: stock writes a Produce request with an encoder object per record and header, and copies the
 * payload twice more to put it behind the request's header, the size and the ids. Here the partitions' batches
 * (record-batch.ts) are sealed and copied once, into the buffer that goes to the socket. Versions 4 to 7 of the request
 * build upon 3.
 */
export const batchRequests: KafkajsPatch = {
  name: 'batch-requests',
  apply: (modules) => {
    modules.replace('protocol/requests/produce/v3/request.js', produceV3)
    modules.replace('protocol/request.js', createRequest)
  },
}

const produceV3: ProduceV3 = (request) => ({
  apiKey: PRODUCE,
  apiVersion: 3,
  ...{ apiName: 'Produce', expectResponse: () => request.acks !== 0 },
  encode: async () => ({ pieces: produceBody(request) }),
})

const produceBody = (request: ProduceRequest): Buffer[] => {
  const { acks, timeout, transactionalId = null, topicData, compression = 0 } = request
  if (compression !== 0) throw new BugError('COMPRESSION_UNSUPPORTED', 'Batches are written uncompressed')
  const head = Buffer.allocUnsafe(6)
  head.writeInt16BE(acks, 0)
  head.writeInt32BE(timeout, 2)
  const pieces = [text(transactionalId), head, int32s(topicData.length)]
  for (const { topic, partitions } of topicData) {
    pieces.push(text(topic), int32s(partitions.length))
    for (const { partition, messages, firstSequence = 0 } of partitions) {
      if (!(messages instanceof BatchBuilder)) {
        throw new BugError('BATCH_MISSING', 'Messages have reached the encoder that takes record batches')
      }
      const { producerId = NOBODY, producerEpoch = 0 } = request
      const batch = messages.seal({ producerId, producerEpoch, firstSequence, transactional: transactionalId !== null })
      pieces.push(int32s(partition, batch.length), batch)
    }
  }
  return pieces
}

/** Size, api, version, correlation id, client id, body (https://kafka.apache.org/protocol#protocol_messages). */
const createRequest: CreateRequest = async ({ correlationId, clientId, request }) => {
  const { buffer, pieces = [buffer ?? Buffer.alloc(0)] } = await request.encode()
  const client = text(clientId)
  const size = pieces.reduce((sum, piece) => sum + piece.length, 8 + client.length)
  const whole = Buffer.allocUnsafe(4 + size)
  whole.writeInt32BE(size, 0)
  whole.writeInt16BE(request.apiKey, 4)
  whole.writeInt16BE(request.apiVersion, 6)
  whole.writeInt32BE(correlationId, 8)
  let end = 12
  for (const piece of [client, ...pieces]) {
    whole.set(piece, end)
    end += piece.length
  }
  return { buffer: whole }
}

/** STRING or NULLABLE_STRING. */
const text = (value: string | null): Buffer => {
  if (value === null) return Buffer.from([0xff, 0xff])
  const bytes = Buffer.allocUnsafe(2 + Buffer.byteLength(value))
  bytes.writeInt16BE(bytes.length - 2, 0)
  bytes.write(value, 2)
  return bytes
}

const int32s = (...values: readonly number[]): Buffer => {
  const bytes = Buffer.allocUnsafe(values.length * 4)
  values.forEach((value, index) => {
    bytes.writeInt32BE(value, index * 4)
  })
  return bytes
}
