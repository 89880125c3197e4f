import { get } from 'node:http'
import { connect } from 'node:net'

/**
 * Probes that say whether a server answers. They speak the server's own protocol, because a port accepts connections
 * long before the server behind it can be used, and cost one round trip. A probe resolves to false for "not yet",
 * whatever the reason: the caller asks again until its deadline and then shows the server's log.
 */
export const answersHttp = (url: string, status: number): Promise<boolean> =>
  new Promise((resolve) => {
    const request = get(url, { agent: false, timeout: PROBE_TIMEOUT_MS }, (response) => {
      response.resume().once('end', () => resolve(response.statusCode === status))
      response.once('error', () => resolve(false))
    })
    request.once('error', () => resolve(false))
    request.once('timeout', () => request.destroy())
  })

const PROBE_TIMEOUT_MS = 2_000

/** True once the broker lists at least one live broker in its metadata, which is when clients can work. */
export const answersKafka = async (host: string, port: number): Promise<boolean> =>
  (await brokersKnownTo(host, port)).length > 0

/** The ids of the live brokers as this one knows them, itself included once it is one of them; none while it is away. */
export const brokersKnownTo = (host: string, port: number): Promise<number[]> =>
  new Promise((resolve) => {
    const socket = connect(port, host, () => socket.write(METADATA_REQUEST))
    let answer = Buffer.alloc(0)
    socket.setTimeout(PROBE_TIMEOUT_MS, () => socket.destroy())
    socket.once('error', () => resolve([]))
    socket.once('close', () => resolve([]))
    socket.on('data', (chunk) => {
      answer = Buffer.concat([answer, chunk])
      if (answer.length < 4 || answer.length < 4 + answer.readInt32BE(0)) return
      resolve(brokerIdsIn(answer))
      socket.destroy()
    })
  })

/** Size, api key 3 (Metadata) version 1, correlation id 1, no client id, an empty list of topics. */
const METADATA_REQUEST = Buffer.from('0000000e' + '0003' + '0001' + '00000001' + 'ffff' + '00000000', 'hex')
/** After the size and the correlation id comes the array of brokers. */
const BROKERS_AT = 8

/** Each broker: id (int32), host (length int16, text), port (int32), rack (the same, length -1 = none). */
const brokerIdsIn = (answer: Buffer): number[] => {
  let at = BROKERS_AT
  const skipText = () => {
    at += 2 + Math.max(0, answer.readInt16BE(at))
  }
  const count = answer.readInt32BE(at)
  at += 4
  return Array.from({ length: count }, () => {
    const id = answer.readInt32BE(at)
    at += 4
    skipText()
    at += 4
    skipText()
    return id
  })
}
