import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t, { type Test } from 'tap'
import { startKafkaCluster } from '../../local/kafka-cluster.ts'
import { freePorts } from '../../local/ports.ts'
import { systemClock } from '../../platform/clock.ts'
import { childEnvironment, readConfig } from '../../platform/config.ts'
import { silentLogger } from '../../platform/log.ts'
import { admitEvents } from '../../processors/admit-events/processor.ts'
import { topicSpecs } from '../../processors/topics.ts'
import { envelopeHeaders } from '../../runtime/codec/envelope.ts'
import { SCHEMA_IDS_TOPIC } from '../../runtime/codec/schema-directory.ts'
import { createIdempotentProducer } from '../../runtime/kafka/idempotent-producer.ts'
import { realKafka } from '../../runtime/kafka/testing/real-kafka.ts'
import { inputTopicsOf, type Processor } from '../../runtime/processor.ts'
import { changelogOf } from '../../runtime/run/kafka-task-log.ts'
import { prepare } from '../../runtime/run/prepare.ts'
import { bound, type RunningTopology, run } from '../../runtime/run/run.ts'
import { openSession } from '../../runtime/run/session.ts'
import { DEAD_LETTERS_TOPIC } from '../../runtime/task/dead-letter.ts'
import { until } from '../../runtime/testing/shop-on-kafka.ts'
import { schemasOf } from '../../runtime/topology.ts'
import { examples } from '../../schemas/examples.ts'
import { videoEvents, videoIntake } from '../../schemas/topics.ts'
import { cli } from '../e2e/product.ts'

/**
 * What an operator types when something is wrong with a processor, as commands: exit codes, what is said, and `--json`.
 * admit-events runs in a release with a mistake and in one without, on a broker of this test's own: the commands know the
 * product's names alone. What the commands stand on is tested by itself (runtime/operate/operator.int.test.ts).
 */
const [port = 0] = await freePorts(2)
const dataDir = await mkdtemp(path.join(tmpdir(), 'reelstream-operator-'))
const broker = await startKafkaCluster({ dataDir, ports: [port] })
t.teardown(async () => {
  await broker.stop()
  await rm(dataDir, { recursive: true, force: true })
})
const env = childEnvironment({ VIDEO_PARTITIONS: '1', KAFKA_BROKERS: broker.addresses.join() })
const config = readConfig(env)
const processor = admitEvents({ mediaBucket: config.s3Bucket, importSources: [] })
const VideoDeleted = videoIntake.events.VideoDeleted
const MISTAKE = 'this release cannot fold it'

/** Claims whose id begins with `bad` are more than this release can take. */
const mistaken = (): Processor => {
  const { behaviour } = processor
  const onIntake = behaviour.on[videoIntake.name] ?? {}
  const fails = (ctx: unknown, ...rest: unknown[]) => {
    if ((ctx as { cause: { id: string } }).cause.id.startsWith('bad')) throw new RangeError(MISTAKE)
    onIntake.VideoDeleted?.(ctx, ...rest)
  }
  const on = { ...behaviour.on, [videoIntake.name]: { ...onIntake, VideoDeleted: fails } }
  return { ...processor, behaviour: { ...behaviour, on } }
}

const openProduct = async (t: Test) => {
  const { kafkaBrokers: brokers, schemaRegistryUrl: registryUrl } = config
  const kafka = realKafka({ brokers })
  const own = [...inputTopicsOf(processor), changelogOf(processor)]
  const needed = new Set([...own, SCHEMA_IDS_TOPIC, DEAD_LETTERS_TOPIC])
  await prepare({
    kafka,
    registryUrl,
    // No first position: to it the claims that are there when it starts are history.
    processors: [],
    topics: topicSpecs(config, [processor]).filter(({ name }) => needed.has(name)),
    schemas: schemasOf([processor], [videoIntake, videoEvents]),
    log: silentLogger,
  })
  const session = await openSession({ brokers, registryUrl, clientId: 'operator-commands', log: silentLogger })
  const producer = createIdempotentProducer(kafka)
  let running: RunningTopology | null = null
  const stop = async () => {
    await running?.stop()
    running = null
  }
  t.teardown(async () => {
    await stop()
    await Promise.all([producer.close(), session.close()])
  })
  const claimOf = (key: string, id: string, value = session.codec.encode(VideoDeleted, examples.VideoDeleted)) => {
    const about = { source: '/test', timeMs: Date.now(), causationId: null, traceparent: null }
    return { topic: videoIntake.name, key, value, headers: envelopeHeaders({ id, type: VideoDeleted.name, ...about }) }
  }
  return {
    claim: (...claims: readonly (readonly [key: string, id: string, value?: Buffer])[]) =>
      producer.send(claims.map((each) => claimOf(...each))),
    /** Claims that were answered: their ids, in the order of the log. */
    answered: async () => {
      const ids: string[] = []
      await session.reader.readToEnd(videoEvents.name, 0, 0n, (records) => {
        for (const { headers } of records) ids.push(headers.causationid ?? '')
      })
      return ids
    },
    start: async (release: Processor) => {
      const settings = { ...session, appId: config.appId, clock: systemClock, log: silentLogger }
      running = await run([bound(release)], { ...settings, instanceId: randomUUID(), sessionTimeoutMs: 6_000 })
    },
    stop,
    isHeld: () => running?.report().some(({ state }) => state === 'held') ?? false,
  }
}

/** Fails, with all that was said, when the command ends otherwise than it should. */
const reelstream = async (t: Test, expected: number, ...args: readonly string[]) => {
  const said = await cli({ env }, ...args)
  t.equal(said.code, expected, `${args.join(' ')}\n${said.stdout}${said.stderr}`)
  return said
}

/** Cells of the rows of a table, without its head. */
const cells = (stdout: string): readonly (readonly string[])[] =>
  stdout
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.split(/ {2,}/))

t.test('an operator finds out what is wrong and mends it', async (t) => {
  const { claim, answered, start, stop, isHeld } = await openProduct(t)
  const name = processor.name
  const [stuck, garbled] = [`stuck-${randomUUID()}`, `garbled-${randomUUID()}`]

  await t.test('release: a replay with much to do has waited for it', async (t) => {
    await claim(...Array.from({ length: 101 }, (_, n) => [`video-${n}`, `old-${n}`] as const))
    await start(mistaken())
    await until('it is held', isHeld)
    await until('it is written', async () => {
      const { lines } = await cli({ env }, 'processors', 'list', name, '--json')
      return lines.every(({ state }) => state === 'held')
    })
    t.same(await answered(), [])
    t.equal((await reelstream(t, 0, 'processors', 'release', name)).stdout, '1 tasks released.\n')
    await until('all are answered', async () => (await answered()).length === 101)
    t.equal((await reelstream(t, 0, 'processors', 'release', name)).stdout, '0 tasks released.\n')
    const { lines } = await reelstream(t, 0, 'processors', 'list', name, '--json')
    t.match(lines, [{ processor: name, task: 0, state: 'live', pendingEffects: 0, blockedKeys: 0 }])
  })

  await t.test('blocked: a key is listed, shown, retried in vain, and freed by skipping', async (t) => {
    t.equal((await reelstream(t, 0, 'blocked', 'list', name)).stdout, 'No key is blocked.\n')
    await claim([stuck, 'bad-1'], [stuck, 'good-1'], [garbled, 'garbled-1', Buffer.from('no Avro')], ['fine', 'good-2'])
    await until('the others flow', async () => (await answered()).includes('good-2'))

    const { lines } = await reelstream(t, 0, 'blocked', 'list', name, '--json')
    t.match(lines, [{ processor: name, task: 0, key: stuck, queued: 2, code: 'HANDLER_FAILED', detail: MISTAKE }])
    const [row] = cells((await reelstream(t, 0, 'blocked', name)).stdout)
    t.same(row, [name, stuck, lines[0]?.since, '2', `HANDLER_FAILED: ${lines[0]?.detail}`])

    const shown = (await reelstream(t, 0, 'blocked', 'show', name, stuck)).stdout
    t.match(shown, `HANDLER_FAILED: ${lines[0]?.detail}\n\n`)
    const waiting = cells(shown.slice(shown.indexOf('WHAT')))
    t.match(waiting, [
      [VideoDeleted.name, 'video-intake/0@101'],
      [VideoDeleted.name, 'video-intake/0@102'],
    ])

    const retried = await reelstream(t, 3, 'blocked', 'retry', name, stuck)
    t.match(retried, { stdout: '', stderr: `STILL_BLOCKED: ${stuck} is blocked by HANDLER_FAILED: ` })
    t.notOk((await answered()).includes('good-1'))
    t.equal((await reelstream(t, 0, 'blocked', 'skip', name, stuck)).stdout, `${stuck} is free.\n`)
    await until('what waited behind it is answered', async () => (await answered()).includes('good-1'))
    t.equal((await reelstream(t, 0, 'blocked', 'list', name)).stdout, 'No key is blocked.\n')
    const refused = await Promise.all(
      ['show', 'retry', 'skip'].map((command) => reelstream(t, 3, 'blocked', command, name, stuck)),
    )
    for (const { stderr } of refused) t.match(stderr, /^KEY_NOT_BLOCKED: /)
    t.match((await reelstream(t, 3, 'blocked', 'list', 'admit-event')).stderr, /^UNKNOWN_PROCESSOR: .*admit-events/)
  })

  await t.test('dlq: what was refused is listed, shown and put through the door again', async (t) => {
    const { lines } = await reelstream(t, 0, 'dlq', 'list', name, '--json')
    const ours = lines.filter(({ key }) => key === stuck || key === garbled)
    t.match(ours, [
      { processor: name, key: garbled, topic: videoIntake.name, value: Buffer.from('no Avro').toString('base64') },
      { processor: name, key: stuck, code: 'SKIPPED_HANDLER_FAILED', headers: { ce_id: 'bad-1' } },
    ])
    const [unreadable, skipped] = ours.map(({ offset }) => String(offset)) as [string, string]
    const rows = cells((await reelstream(t, 0, 'dlq', 'list', name)).stdout)
    t.match(
      rows.find(([letter]) => letter === skipped),
      [skipped, String, name, 'video-intake/0', stuck, /^SKIPPED_HANDLER_FAILED: /],
    )

    const shown = (await reelstream(t, 0, 'dlq', 'show', unreadable)).stdout
    for (const line of [`key: ${garbled}`, 'ce_id: garbled-1', `processor: ${name}`, 'partition: 0'])
      t.ok(shown.split('\n').includes(line), line)
    t.ok(shown.endsWith(`\n\n${Buffer.from('no Avro').toString('hex')}\n`))

    const again = await reelstream(t, 0, 'dlq', 'redrive', skipped)
    t.equal(again.stdout, 'Appended to video-intake again.\n')
    await until('this release fails on it again', async () => {
      const { lines: blocked } = await cli({ env }, 'blocked', 'list', name, '--json')
      return blocked.some(({ key }) => key === stuck)
    })
    t.match((await reelstream(t, 3, 'dlq', 'show', '1000000')).stderr, /^DEAD_LETTER_UNKNOWN: /)
    t.match((await reelstream(t, 3, 'dlq', 'redrive', 'first')).stderr, /^LETTER_INVALID: "first"/)
  })

  await t.test('blocked retry: after a fix was deployed the key is free', async (t) => {
    await stop()
    await start(processor)
    t.equal((await reelstream(t, 0, 'blocked', 'retry', name, stuck)).stdout, `${stuck} is free.\n`)
    await until('the claim is answered', async () => (await answered()).includes('bad-1'))
  })

  await t.test('processors reset: asks, wants nobody to run, and the replay does nothing twice', async (t) => {
    const before = await answered()
    t.match((await reelstream(t, 3, 'processors', 'reset', name, '--yes')).stderr, /^PROCESSOR_RUNNING: .* 1 process:/)
    await stop()
    const asked = await reelstream(t, 1, 'processors', 'reset', name)
    t.match(asked.stdout, /^A replay folds \d+ records\. Nothing is left to do\.\nNothing was changed\.\n$/)
    t.match((await reelstream(t, 0, 'processors', 'list', name, '--json')).lines, [{ state: 'live' }])
    const reset = await reelstream(t, 0, 'processors', 'reset', name, '--yes')
    t.match(reset.stdout, /\n[1-9]\d* entries dropped\. admit-events replays its inputs when it starts\.\n$/)
    t.match((await reelstream(t, 0, 'processors', 'list', name, '--json')).lines, [{ state: 'new' }])
    await start(processor)
    await claim(['fine', 'after-1'])
    await until('it lives', async () => (await answered()).includes('after-1'))
    t.same(await answered(), [...before, 'after-1'])
  })
})
