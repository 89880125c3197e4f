import t from 'tap'
import { readConfig } from '../config.ts'
import { BadInputError, UpstreamError } from '../errors.ts'
import { clientNetworkOf } from './client-network.ts'
import { clientPolicy, createSignInLimit } from './client-policy.ts'

const refuse = async () => {
  throw new BadInputError('UNAUTHENTICATED', 'No.')
}
const accept = async () => 'ada'

t.test('an address of IPv6 counts as its network, one of IPv4 by itself', async (t) => {
  const networks: Record<string, string> = {
    '192.0.2.1': '192.0.2.1',
    '::ffff:192.0.2.1': '192.0.2.1',
    '::ffff:c000:201': '192.0.2.1',
    '2001:db8:1:2:3:4:5:6': '2001:db8:1:2::/64',
    '2001:DB8:1:2::': '2001:db8:1:2::/64',
    '2001:db8::1': '2001:db8:0:0::/64',
    '64:ff9b::192.0.2.1': '64:ff9b:0:0::/64',
    'fe80::1%eth0': 'fe80:0:0:0::/64',
    '::1': '0:0:0:0::/64',
    '::': '0:0:0:0::/64',
    unknown: 'unknown',
  }
  for (const [address, network] of Object.entries(networks)) t.equal(clientNetworkOf(address), network, address)
})

t.test('who fails too often is refused for the rest of the minute, and nobody else is', async (t) => {
  let nowMs = 5_000
  const { guard } = createSignInLimit({ perMinute: 2, now: () => nowMs })
  const from = (ip: string) => ({ ip })
  const away = async () => {
    throw new UpstreamError('JWKS_UNAVAILABLE', 'Away.')
  }
  for (let n = 0; n < 5; n++) {
    t.equal(await guard(from('2001:db8::1'), accept), 'ada', 'what succeeds does not count')
    await t.rejects(guard(from('2001:db8::1'), away), { code: 'JWKS_UNAVAILABLE' }, 'nor what is our own fault')
  }
  await t.rejects(guard(from('2001:db8::1'), refuse), { code: 'UNAUTHENTICATED' })
  nowMs += 20_000
  await t.rejects(guard(from('2001:db8::2'), refuse), { code: 'UNAUTHENTICATED' })
  const limited = { code: 'RATE_LIMITED', facts: { retryAfterSeconds: 40 } }
  await t.rejects(guard(from('2001:db8::3'), accept), limited, 'of the same network')
  t.equal(await guard(from('2001:db8:0:1::1'), accept), 'ada', 'the next network')
  nowMs += 40_000
  t.equal(await guard(from('2001:db8::1'), accept), 'ada', 'the minute is over')
})

t.test('the settings say whom to believe, and how often one may fail', async (t) => {
  t.same(clientPolicy(readConfig({})).trustProxy, ['loopback', 'uniquelocal'])
  const given = readConfig({ TRUSTED_PROXIES: '198.51.100.7, 2001:db8::/32', FAILED_SIGN_INS_PER_MINUTE: '1' })
  const { trustProxy, signIns } = clientPolicy(given)
  t.same(trustProxy, ['198.51.100.7', '2001:db8::/32'])
  await t.rejects(signIns.guard({ ip: '192.0.2.1' }, refuse), { code: 'UNAUTHENTICATED' })
  await t.rejects(signIns.guard({ ip: '192.0.2.1' }, accept), { code: 'RATE_LIMITED' })
  t.same(clientPolicy(readConfig({ TRUSTED_PROXIES: ' ' })).trustProxy, [], 'nobody')
  for (const wrong of ['everybody', '10.0.0.0/33', '10.0.0.0/8/8', '10.0.0', '::1/129', '10.0.0.0/']) {
    t.throws(
      () => readConfig({ TRUSTED_PROXIES: wrong }),
      { code: 'CONFIG_INVALID', message: /TRUSTED_PROXIES/ },
      wrong,
    )
  }
})
