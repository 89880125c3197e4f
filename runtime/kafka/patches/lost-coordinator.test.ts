import t from 'tap'
import { freshKafkajs, quietLogger } from './fresh-kafkajs.ts'
import { lostCoordinator } from './lost-coordinator.ts'
import type { KafkajsPatch } from './modules.ts'

const UNKNOWN_MEMBER_ID = 25

interface ConsumerGroup {
  memberId: string
  coordinator: unknown
  offsetManager: { coordinator: unknown }
  heartbeat(options: { interval: number }): Promise<void>
}

/** A member whose coordinator fails each heartbeat with the error, while another broker coordinates the group by now. */
const memberOf = (patches: readonly KafkajsPatch[], errorName: string) => {
  const modules = freshKafkajs(patches)
  const errors = modules.load<Record<string, new (message: string) => Error>>('errors.js')
  const { createErrorFromCode } = modules.load<{ createErrorFromCode(code: number): Error }>('protocol/error.js')
  const failure = (): Error => {
    const KnownError = errors[errorName]
    return KnownError === undefined ? createErrorFromCode(UNKNOWN_MEMBER_ID) : new KnownError('gone')
  }
  const beats: string[] = []
  const old = { heartbeat: () => Promise.reject(failure()) }
  const current = { heartbeat: async ({ memberId }: { memberId: string }) => void beats.push(memberId) }
  const Group = modules.load<new (options: object) => ConsumerGroup>('consumer/consumerGroup.js')
  const group = new Group({
    cluster: { findGroupCoordinator: async () => current },
    groupId: 'group',
    logger: quietLogger,
    topics: [],
    retry: {},
    instrumentationEmitter: { emit: () => {} },
  })
  group.memberId = 'member'
  group.coordinator = old
  group.offsetManager = { coordinator: old }
  return { group, beats, current }
}

const NO_PAUSE = { interval: -1 }

for (const errorName of ['KafkaJSConnectionError', 'KafkaJSConnectionClosedError', 'KafkaJSRequestTimeoutError']) {
  t.test(`after a ${errorName} the next heartbeat goes to whoever coordinates the group now`, async (t) => {
    const { group, beats, current } = memberOf([lostCoordinator], errorName)
    await group.heartbeat(NO_PAUSE)
    t.equal(group.offsetManager.coordinator, current, 'and so do commits of the lag gauge')
    await group.heartbeat(NO_PAUSE)
    t.same(beats, ['member'], 'under its name')
  })
}

t.test('what the coordinator itself says is not its death', async (t) => {
  const { group, beats } = memberOf([lostCoordinator], 'an answer')
  await t.rejects(group.heartbeat(NO_PAUSE), { name: 'KafkaJSProtocolError', type: 'UNKNOWN_MEMBER_ID' })
  t.same(beats, [])
})

t.test('stock asks the dead one again and again: the patch is still needed', async (t) => {
  const { group } = memberOf([], 'KafkaJSConnectionError')
  await t.rejects(group.heartbeat(NO_PAUSE), { name: 'KafkaJSConnectionError' })
  await t.rejects(group.heartbeat(NO_PAUSE), { name: 'KafkaJSConnectionError' })
})
