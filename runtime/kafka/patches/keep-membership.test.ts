import t from 'tap'
import { freshKafkajs, quietLogger } from './fresh-kafkajs.ts'
import { keepMembership } from './keep-membership.ts'
import type { KafkajsPatch } from './modules.ts'

const UNKNOWN_MEMBER_ID = 25

interface ConsumerGroup {
  joinAndSync(): Promise<void>
  leave(): Promise<void>
}

/** A coordinator that knows its members, and consumer groups which one consumer makes one after the other. */
const consumerWith = (patches: readonly KafkajsPatch[]) => {
  const modules = freshKafkajs(patches)
  const { createErrorFromCode } = modules.load<{ createErrorFromCode(code: number): Error }>('protocol/error.js')
  const { MemberAssignment } = modules.load<{ MemberAssignment: { encode(assignment: object): Buffer } }>(
    'consumer/assignerProtocol.js',
  )
  const known = new Set<string>()
  const joins: string[] = []
  let reachable = true
  let answersSync = true
  const coordinator = {
    joinGroup: async ({ memberId }: { memberId: string }) => {
      joins.push(memberId)
      if (memberId !== '' && !known.has(memberId)) throw createErrorFromCode(UNKNOWN_MEMBER_ID)
      const id = memberId || `member-${known.size + 1}`
      known.add(id)
      return { generationId: 1, leaderId: 'other', memberId: id, members: [], groupProtocol: 'any' }
    },
    syncGroup: async () => {
      if (!answersSync) throw new Error('no answer')
      return { memberAssignment: MemberAssignment.encode({ version: 1, assignment: {} }) }
    },
    leaveGroup: async ({ memberId }: { memberId: string }) => {
      if (!reachable) throw new Error('unreachable')
      known.delete(memberId)
    },
  }
  const cluster = { findGroupCoordinator: async () => coordinator, committedOffsets: () => ({}) }
  const Group = modules.load<new (options: object) => ConsumerGroup>('consumer/consumerGroup.js')
  const start = () =>
    new Group({
      cluster,
      logger: quietLogger,
      topics: [],
      assigners: [],
      retry: { initialRetryTime: 1, retries: 2 },
      instrumentationEmitter: { emit: () => {} },
    })
  return {
    joins,
    known,
    start,
    cut: () => {
      reachable = false
    },
    silence: (isSilent: boolean) => {
      answersSync = !isSilent
    },
  }
}

t.test('a consumer that is started again comes back under its old name', async (t) => {
  const lifeOf = async (patches: readonly KafkajsPatch[]): Promise<string[]> => {
    const { joins, start, cut } = consumerWith(patches)
    const first = start()
    await first.joinAndSync()
    cut()
    await t.rejects(first.leave())
    await start().joinAndSync()
    return joins
  }
  t.same(await lifeOf([keepMembership]), ['', 'member-1'])
  t.same(await lifeOf([]), ['', ''], 'stock is a stranger: the patch is still needed')
})

t.test('one that has joined and was never told its tasks comes back under its name, too', async (t) => {
  const { joins, start, silence } = consumerWith([keepMembership])
  silence(true)
  await t.rejects(start().joinAndSync())
  silence(false)
  await start().joinAndSync()
  t.same(joins, ['', 'member-1'])
})

t.test('one that has left comes back as a new member', async (t) => {
  const { joins, start } = consumerWith([keepMembership])
  const first = start()
  await first.joinAndSync()
  await first.leave()
  await start().joinAndSync()
  t.same(joins, ['', ''])
})

t.test('one that the group has forgotten asks for a new name', async (t) => {
  const { joins, known, start } = consumerWith([keepMembership])
  await start().joinAndSync()
  known.clear()
  await start().joinAndSync()
  t.same(joins, ['', 'member-1', ''])
})
