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
export const answersKafka = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, host, () => socket.write(METADATA_REQUEST))
    let answer = Buffer.alloc(0)
    socket.setTimeout(PROBE_TIMEOUT_MS, () => socket.destroy())
    socket.once('error', () => resolve(false))
    socket.once('close', () => resolve(false))
    socket.on('data', (chunk) => {
      answer = Buffer.concat([answer, chunk])
      if (answer.length < BROKER_COUNT_OFFSET + 4) return
      resolve(answer.readInt32BE(BROKER_COUNT_OFFSET) >= 1)
      socket.destroy()
    })
  })

/** Size, api key 3 (Metadata) version 1, correlation id 1, no client id, an empty list of topics. */
const METADATA_REQUEST = Buffer.from('0000000e' + '0003' + '0001' + '00000001' + 'ffff' + '00000000', 'hex')
/** After the size and the correlation id comes the length of the array of brokers. */
const BROKER_COUNT_OFFSET = 8
