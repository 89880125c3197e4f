import type { Cluster, GroupMember as KafkajsMember, PartitionAssigner } from 'kafkajs'
import { ConfigError } from '../../platform/errors.ts'
import { AssignerProtocol } from './kafkajs.ts'
import { assignTasks, type MemberClaim } from './task-assignment.ts'

const { MemberAssignment, MemberMetadata } = AssignerProtocol

/** Name in the group protocol; members that propose different ones cannot share a group. Change it with the user data. */
const NAME = 'sticky-tasks-1'
const VERSION = 1

/** What a member says of itself when it joins; travels as JSON in the user data. */
export interface OwnClaim {
  readonly instanceId: string
  readonly owned: readonly number[]
  readonly busy: readonly number[]
  /** The membership under which `owned` was assigned; undefined before the first assignment. */
  readonly memberId: string | undefined
}

/** An eager assigner that leaves tasks where they are; see task-assignment.ts. `claim` is asked at each join. */
export const stickyAssigner =
  (claim: () => OwnClaim): PartitionAssigner =>
  ({ cluster }) => ({
    name: NAME,
    version: VERSION,
    protocol: ({ topics }) => ({
      name: NAME,
      metadata: MemberMetadata.encode({ version: VERSION, topics, userData: Buffer.from(JSON.stringify(claim())) }),
    }),
    assign: async ({ members, topics }) => {
      const assigned = assignTasks(await taskCountOf(cluster, topics), members.map(readClaim))
      return members.map(({ memberId }) => {
        const tasks = assigned.get(memberId) ?? []
        const assignment = Object.fromEntries(topics.map((topic) => [topic, tasks]))
        return {
          memberId,
          memberAssignment: MemberAssignment.encode({ version: VERSION, assignment, userData: Buffer.alloc(0) }),
        }
      })
    },
  })

const taskCountOf = async (cluster: Cluster, topics: readonly string[]): Promise<number> => {
  await cluster.addMultipleTargetTopics([...topics])
  const counts = topics.map((topic) => cluster.findTopicPartitionMetadata(topic).length)
  const [count = 0] = counts
  if (counts.every((other) => other === count)) return count
  const found = topics.map((topic, n) => `${topic} ${counts[n]}`).join(', ')
  throw new ConfigError('UNEQUAL_PARTITIONS', `The input topics of one processor need equal partition counts: ${found}`)
}

/** A member of another make says nothing about itself: it claims nothing. */
const readClaim = ({ memberId, memberMetadata }: KafkajsMember): MemberClaim => {
  const userData = MemberMetadata.decode(memberMetadata)?.userData
  const said: Partial<OwnClaim> = userData?.length ? (JSON.parse(userData.toString()) as OwnClaim) : {}
  return {
    memberId,
    instanceId: said.instanceId ?? memberId,
    owned: said.owned ?? [],
    busy: said.busy ?? [],
    current: said.memberId === memberId,
  }
}
