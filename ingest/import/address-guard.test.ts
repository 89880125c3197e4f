import fc from 'fast-check'
import t from 'tap'
import { createAddressGuard } from './address-guard.ts'

const guard = createAddressGuard()

const refused: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.1', '127.255.255.254', '::1'],
  unspecified: ['0.0.0.0', '0.1.2.3', '::'],
  private: ['10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1', 'fc00::1', 'fd12:3456::1'],
  'link-local': ['169.254.0.1', 'fe80::1', 'febf::1'],
  'cloud metadata': [
    '169.254.169.254',
    '169.254.170.2',
    'fd00:ec2::254',
    '100.100.100.200',
    '168.63.129.16',
    '192.0.0.192',
  ],
  'carrier-grade NAT': ['100.64.0.1', '100.127.255.255'],
  multicast: ['224.0.0.1', '239.255.255.255', 'ff02::1'],
  broadcast: ['255.255.255.255'],
  reserved: ['240.0.0.1', '192.0.2.1', '198.18.0.1', '198.51.100.1', '203.0.113.1', '2001:db8::1'],
  'IPv4 mapped into IPv6': ['::ffff:127.0.0.1', '::ffff:7f00:1', '::ffff:10.0.0.1', '::ffff:169.254.169.254'],
  'IPv4-compatible IPv6': ['::127.0.0.1', '::a00:1'],
  'IPv4-translated': ['::ffff:0:127.0.0.1'],
  NAT64: ['64:ff9b::7f00:1', '64:ff9b::a9fe:a9fe', '64:ff9b:1::a00:1'],
  '6to4 and Teredo': ['2002:7f00:1::', '2002:a00:1::1', '2001::1'],
  'site-local and discard': ['fec0::1', '100::1'],
  'not assigned to anybody': ['4000::1', '8000::1'],
  'no address at all': ['', 'localhost', '127.1', '0x7f.1', '1.2.3', '[::1]', 'fe80::1%eth0', '2a00::1%lo'],
}
for (const [what, addresses] of Object.entries(refused)) {
  t.test(`refuses ${what}`, async (t) => {
    for (const address of addresses) t.type(guard.refusal(address), 'string', address)
  })
}

t.test('allows the public internet', async (t) => {
  for (const address of ['1.1.1.1', '93.184.216.34', '172.32.0.1', '100.128.0.1', '2606:4700::1111', '2a00:1450::1']) {
    t.equal(guard.refusal(address), null, address)
  }
  t.equal(guard.refusal('::ffff:1.1.1.1'), null, 'a mapped address is the one that it maps')
})

t.test('allows what the operator names, and nothing beside it', async (t) => {
  const own = createAddressGuard(['10.1.0.0/16', 'fd00:1::/32'])
  for (const address of ['10.1.2.3', '::ffff:10.1.2.3', 'fd00:1::5']) t.equal(own.refusal(address), null, address)
  for (const address of ['10.2.0.1', 'fd00:2::5', '127.0.0.1']) t.type(own.refusal(address), 'string', address)
  t.throws(() => createAddressGuard(['10.1.0.0']), { code: 'IMPORT_NETWORKS_INVALID' })
})

t.test('refuses the addresses of this machine, though they are public', async (t) => {
  const own = createAddressGuard([], ['93.184.216.34', '2606:4700::1111'])
  for (const address of ['93.184.216.34', '::ffff:93.184.216.34', '2606:4700:0::1111']) {
    t.type(own.refusal(address), 'string', address)
  }
})

t.test('however a private IPv4 address is carried by IPv6, it is refused', async (t) => {
  const inside = fc.constantFrom([10], [127], [169, 254], [192, 168], [172, 16], [100, 64])
  const byte = fc.integer({ min: 0, max: 255 })
  fc.assert(
    fc.property(inside, fc.tuple(byte, byte, byte, byte), (prefix, rest) => {
      const bytes = [...prefix, ...rest].slice(0, 4)
      const [a = 0, b = 0, c = 0, d = 0] = bytes
      const hex = `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
      const carried = [bytes.join('.'), `::ffff:${bytes.join('.')}`, `::${hex}`, `64:ff9b::${hex}`, `2002:${hex}::1`]
      return carried.every((address) => guard.refusal(address) !== null)
    }),
  )
  t.pass('held')
})
