import type { Admin, Kafka } from 'kafkajs'

/** Lets `act` ask or tell the cluster over a connection of its own. Throws what it throws, and as kafkajs does. */
export const withAdmin = async <T>(kafka: Pick<Kafka, 'admin'>, act: (admin: Admin) => Promise<T>): Promise<T> => {
  const admin = kafka.admin()
  try {
    await admin.connect()
    return await act(admin)
  } finally {
    await admin.disconnect()
  }
}

/** How many processes are members of a consumer group; 0 for one that does not exist. */
export const membersOf = (kafka: Kafka, group: string): Promise<number> =>
  withAdmin(kafka, async (admin) => (await admin.describeGroups([group])).groups[0]?.members.length ?? 0)

/** What a consumer group has committed: topic → partition → next offset. Partitions of which it has not are missing. */
export const committedOffsets = (
  kafka: Pick<Kafka, 'admin'>,
  group: string,
  topics: readonly string[],
): Promise<ReadonlyMap<string, ReadonlyMap<number, bigint>>> =>
  withAdmin(kafka, async (admin) => {
    const found = await admin.fetchOffsets({ groupId: group, topics: [...topics] })
    return new Map(
      found.map(({ topic, partitions }) => {
        const committed = partitions.filter(({ offset }) => offset !== NOTHING_COMMITTED)
        return [topic, new Map(committed.map(({ partition, offset }) => [partition, BigInt(offset)]))]
      }),
    )
  })
const NOTHING_COMMITTED = '-1'
