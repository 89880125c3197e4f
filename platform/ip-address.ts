import ipaddr from 'ipaddr.js'

/** ipaddr.js, fenced in: the only file that imports it. */

/** An IPv4 address that is written as IPv6 is that IPv4 address. Throws Error for what is no address. */
export const parseAddress = (address: string) => ipaddr.process(address)

/** In CIDR notation. Throws Error for what is no network. */
export const parseNetwork = (cidr: string) => ipaddr.parseCIDR(cidr)
