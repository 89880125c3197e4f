import type { AclEntry, Admin } from 'kafkajs'
import t, { type Test } from 'tap'
import { kafkaLogHorizon } from '../../ingest/reconciler/log-horizon.ts'
import type { BrokerSettings } from '../../local/kafka.ts'
import { LOOPBACK } from '../../local/server.ts'
import { readConfig } from '../../platform/config.ts'
import { silentLogger } from '../../platform/log.ts'
import { createKafka, type Kafka } from '../../runtime/kafka/client.ts'
import { KafkaClient } from '../../runtime/kafka/kafkajs.ts'
import { createPartitionReader } from '../../runtime/kafka/partition-reader.ts'
import { transcodePool, videoEvents, videoIntake } from '../../schemas/topics.ts'
import { productAcls } from '../../scripts/generate/acls-page.ts'
import type { Acl } from '../../scripts/generate/kafka-acls.ts'
import { cli } from '../e2e/product.ts'
import { openRoles } from './roles.ts'
import { until } from './trial.ts'

/**
 * Every role of the product on a broker that allows it what docs/kafka-acls.md says, and nothing else: one after the other,
 * for they have no names of their own there. The broker itself, and this test where it looks on, come in by another door.
 */
const EVERYBODY = 'User:ANONYMOUS'
const ROOT_LOGIN = { username: 'root', password: 'root-secret' }
const APP_ID = readConfig({}).appId

const authorizing = (port: number, rootPort: number): BrokerSettings => {
  const doors = { PLAINTEXT: port, CONTROLLER: port + 1, ROOT: rootPort }
  const addresses = Object.entries(doors).map(([name, at]) => `${name}://${LOOPBACK}:${at}`)
  const { username, password } = ROOT_LOGIN
  const login =
    'org.apache.kafka.common.security.plain.PlainLoginModule required ' +
    `username="${username}" password="${password}" user_${username}="${password}";`
  return {
    'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
    'super.users': `User:${username}`,
    listeners: addresses.join(),
    'advertised.listeners': addresses.filter((address) => !address.startsWith('CONTROLLER')).join(),
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:SASL_PLAINTEXT,ROOT:SASL_PLAINTEXT',
    'inter.broker.listener.name': 'ROOT',
    'sasl.enabled.mechanisms': 'PLAIN',
    'sasl.mechanism.inter.broker.protocol': 'PLAIN',
    'sasl.mechanism.controller.protocol': 'PLAIN',
    'listener.name.root.plain.sasl.jaas.config': login,
    'listener.name.controller.plain.sasl.jaas.config': login,
  }
}

/** Kafka protocol guide: ResourceType, PatternType, Operation, PermissionType. */
const RESOURCES = { topic: 2, group: 3, 'transactional-id': 5 } as const
const [LITERAL, PREFIXED, ANY, ALLOW] = [3, 4, 1, 3] as const
const OPERATIONS: Readonly<Record<string, number>> = {
  Read: 3,
  Write: 4,
  Create: 5,
  Delete: 6,
  Describe: 8,
  DescribeConfigs: 10,
}

const entriesOf = ({ resource, name, isPrefix, operations }: Acl): readonly AclEntry[] =>
  operations.map((operation) => ({
    resourceType: RESOURCES[resource],
    resourceName: name,
    resourcePatternType: isPrefix ? PREFIXED : LITERAL,
    principal: EVERYBODY,
    host: '*',
    operation: OPERATIONS[operation] as number,
    permissionType: ALLOW,
  }))

let root: Kafka | undefined
let admin: Admin | undefined
t.teardown(() => admin?.disconnect())

/** From now on this role is who may do something, and nobody else; null: nobody may do anything. */
const allow = async (name: string | null): Promise<void> => {
  const acls = name === null ? [] : productAcls(APP_ID).find(({ role }) => role === name)?.acls
  if (acls === undefined) throw new RangeError(`there is no role ${name}`)
  const all = { resourceType: ANY, resourcePatternType: ANY, operation: ANY, permissionType: ANY }
  await admin?.deleteAcls({ filters: [{ ...all, principal: EVERYBODY }] })
  if (acls.length > 0) await admin?.createAcls({ acl: acls.flatMap(entriesOf) })
}

const roles = await openRoles(t, {
  broker: authorizing,
  onBroker: async (port) => {
    root = new KafkaClient({
      brokers: [`${LOOPBACK}:${port}`],
      sasl: { mechanism: 'plain', ...ROOT_LOGIN },
      logLevel: 0,
    })
    admin = root.admin()
    await admin.connect()
    await allow('migrate')
  },
})
const reader = await createPartitionReader(root as unknown as Kafka)
t.teardown(() => reader.close())
const recordsOn = async ({ name }: { readonly name: string }): Promise<number> => {
  let records = 0
  for (const partition of await reader.partitions(name)) {
    await reader.readToEnd(name, partition, 0n, (batch) => {
      records += batch.length
    })
  }
  return records
}

/** Runs the role while only it may do something, and ends it when the work is done. */
const runAlone = async (t: Test, program: string, acls: string, work: () => Promise<void>): Promise<void> => {
  await allow(acls)
  const process = await roles.start(program)
  await work()
  process.signal('SIGTERM')
  t.same(await process.exited, { code: 0, signal: null }, `${program} ends in order`)
}

t.pass('the migrate step has prepared everything')

t.test('the gateway takes claims, and sees how far they are', async (t) => {
  await runAlone(t, 'front', 'gateway', async () => {
    // Nobody folds it now: the answer is that it is not recorded yet, or none.
    const asking = fetch(`${roles.env.GATEWAY_URL}/uploads`, {
      method: 'POST',
      headers: { authorization: `Bearer ${roles.env.AUTHOR_TOKEN}`, 'content-type': 'application/json' },
      body: JSON.stringify({ fileName: 'a.mp4', title: 'A', visibility: 'PUBLIC' }),
    }).catch(() => undefined)
    await until('it is claimed', async () => (await recordsOn(videoIntake)) > 0)
    const kafka = createKafka({ brokers: roles.kafka.addresses, clientId: 'test', logger: silentLogger })
    const own = await createPartitionReader(kafka)
    const foldedUpTo = async () => new Map<number, bigint>()
    const horizon = kafkaLogHorizon({ kafka, reader: own, reads: { foldedUpTo } })
    const isReached = () =>
      horizon.isReached(0, new AbortController().signal).catch((error: Error & { readonly retriable?: boolean }) => {
        if (error.retriable === true) return null // nobody coordinates the first group of a broker for a moment
        throw error
      })
    await until('nobody has admitted it yet', async () => (await isReached()) === false)
    await own.close()
    await asking
  })
  t.pass()
})

t.test('an operator looks at everything, resets processors and changes the lanes', async (t) => {
  await allow('operator')
  const names = productAcls(APP_ID).flatMap(({ role, acls }) =>
    role === 'processors' || role === 'workers'
      ? acls.filter(({ resource }) => resource === 'group').map(({ name }) => name)
      : [],
  )
  const commands = [
    'processors list',
    'blocked list',
    'dlq list',
    'lanes list',
    'lanes set 2',
    `lanes set ${readConfig({}).lanes}`,
    ...names.map((name) => `processors plan ${name}`),
    // What has no memory opens and replays when it starts, and so uses all of its rights.
    ...names.map((name) => `processors reset --yes ${name}`),
  ]
  for (const command of commands) {
    const { code, stderr } = await cli(roles, ...command.split(' '))
    t.equal(code, 0, `${command} ${stderr}`)
  }
})

t.test('the workers open their lanes', async (t) => {
  await runAlone(t, 'workers', 'workers', () =>
    until('each lane is said to be open', async () => (await recordsOn(transcodePool)) >= readConfig({}).lanes),
  )
  t.pass()
})

t.test('the processors admit the claim', async (t) => {
  await runAlone(t, 'processors', 'processors', () =>
    until('it is a fact', async () => (await recordsOn(videoEvents)) > 0),
  )
  t.pass()
})

t.test('the projections fold it', async (t) => {
  await runAlone(t, 'projections', 'projections', async () => undefined)
  t.pass('they are ready: all is read')
})

t.test('without rights nothing is done', async (t) => {
  await allow(null)
  const { code } = await cli(roles, 'processors', 'list')
  t.not(code, 0)
})
