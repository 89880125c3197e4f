import { isIP } from 'node:net'
import { ConfigError } from '../../platform/errors.ts'
import { parseAddress, parseNetwork } from '../../platform/ip-address.ts'

/**
 * Which addresses an import may connect to: those of the public internet, and what the operator names.
 *
 * Everything else is somebody's inside: loopback, private and link-local networks (the metadata services of clouds among
 * them), carrier-grade NAT, multicast, and the ways in which an IPv6 address carries such an IPv4 address (mapped, NAT64,
 * 6to4, Teredo). The ranges are those of ipaddr.js, and what they know nothing about is refused: of IPv6 only global
 * unicast (2000::/3) is public, so that addresses which are assigned tomorrow are refused today.
 */
export interface AddressGuard {
  /** Null = allowed, else why not. @param address an IP address as the resolver gave it, without brackets */
  refusal(address: string): string | null
}

/**
 * @param allowedNetworks CIDRs that are allowed whatever they are
 * @param ownAddresses of this machine: what listens here listens for its own network, though the address is public
 * @throws ConfigError IMPORT_NETWORKS_INVALID
 */
export const createAddressGuard = (
  allowedNetworks: readonly string[] = [],
  ownAddresses: readonly string[] = [],
): AddressGuard => {
  const networks = allowedNetworks.map(parsedNetwork)
  const own = new Set(
    ownAddresses.filter((address) => isIP(address) !== 0).map((address) => parseAddress(address).toString()),
  )
  return {
    refusal(address) {
      // A zone names an interface, which no public address does.
      if (isIP(address) === 0 || address.includes('%')) return 'is no IP address'
      const parsed = parseAddress(address)
      if (networks.some(([network, bits]) => parsed.kind() === network.kind() && parsed.match(network, bits)))
        return null
      const range = parsed.range()
      if (range !== 'unicast') return `is in the range "${range}"`
      if (parsed.kind() === 'ipv6' && !parsed.match(GLOBAL_UNICAST, 3)) return 'is not of the public internet'
      if (NOT_PUBLIC.has(parsed.toString())) return 'is the metadata service of a cloud'
      return own.has(parsed.toString()) ? 'is of this machine' : null
    },
  }
}

const GLOBAL_UNICAST = parseAddress('2000::')

/** Azure's platform services: a public address by its range, reachable from inside alone. */
const NOT_PUBLIC = new Set(['168.63.129.16'])

const parsedNetwork = (cidr: string) => {
  try {
    return parseNetwork(cidr)
  } catch (error) {
    throw new ConfigError('IMPORT_NETWORKS_INVALID', `"${cidr}" is no network: expected e.g. 10.1.0.0/16.`, {
      cause: error,
    })
  }
}
