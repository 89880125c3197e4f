import type { Admin, Kafka } from 'kafkajs'

/** Lets `act` ask or tell the cluster over a connection of its own. Throws what it throws, and as kafkajs does. */
export const withAdmin = async <T>(kafka: Kafka, act: (admin: Admin) => Promise<T>): Promise<T> => {
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
