import { isIPv4, isIPv6 } from 'node:net'
import { parseAddress } from '../ip-address.ts'

/**
 * What an address is limited as. One of IPv6 is one of 2^64 that its owner has: providers give out networks of /64 and
 * larger (RFC 6177), so the network counts. One of IPv4 counts by itself, also where a socket for both writes it as IPv6.
 * @param address as sockets and proxies write it; what is none stands for itself
 */
export const clientNetworkOf = (address: string): string => {
  const [withoutZone = ''] = address.split('%')
  if (!isIPv6(withoutZone)) return address
  const parsed = parseAddress(withoutZone)
  if (!('parts' in parsed)) return parsed.toString()
  const network = parsed.parts.slice(0, 4).map((group) => group.toString(16))
  return `${network.join(':')}::/64`
}

/** One of the proxies that may say for whom they ask: an address, a network, or the name of well-known ones. */
export const isProxyRule = (text: string): boolean => {
  if (['loopback', 'linklocal', 'uniquelocal'].includes(text)) return true
  const [address = '', bits = '0', ...more] = text.split('/')
  const maxBits = isIPv4(address) ? 32 : 128
  return more.length === 0 && (isIPv4(address) || isIPv6(address)) && /^\d{1,3}$/.test(bits) && Number(bits) <= maxBits
}
