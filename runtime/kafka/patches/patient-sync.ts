import type { KafkajsPatch } from './modules.ts'

interface Request {
  readonly requestTimeout?: number
}
interface SyncGroup {
  protocol(of: { version: number }): (request: object) => Request
}

/** Longer than the longest session of a member, 10 s: when its leader has died the group waits for that long. */
const SYNC_TIMEOUT_MS = 15_000

/**
 * After joining, a member waits until the leader of the group has shared out the tasks. When the leader dies in between,
 * the broker answers once the leader's session has ended, and all join again. Stock gives that answer no more time than
 * any other (JoinGroup has time of its own): the consumer starts anew as a stranger, and the group waits once more, for
 * the member that it was.
 */
export const patientSync: KafkajsPatch = {
  name: 'patient-sync',
  apply: (modules) => {
    const syncGroup = modules.load<SyncGroup>('protocol/requests/syncGroup/index.js')
    const { protocol } = syncGroup
    syncGroup.protocol = (of) => (request) => ({ ...protocol(of)(request), requestTimeout: SYNC_TIMEOUT_MS })
  },
}
