import { batchRequests } from './batch-requests.ts'
import { closedSockets } from './closed-sockets.ts'
import { idleTimer } from './idle-timer.ts'
import { keepMembership } from './keep-membership.ts'
import { lostCoordinator } from './lost-coordinator.ts'
import { assertPatchable, type KafkajsPatch, kafkajsModules } from './modules.ts'
import { patientSync } from './patient-sync.ts'
import { pausedMembership } from './paused-membership.ts'
import { rawBatches } from './raw-batches.ts'
import { sendEveryPartition } from './send-every-partition.ts'
import { singleConnect } from './single-connect.ts'
import { transactionBackoff } from './transaction-backoff.ts'

export type { KafkajsPatch } from './modules.ts'

/**
 * kafkajs 2.2.4 is the last release of an unmaintained client. These files cure what would break our promises;
 * each has a test that fails without it. In the order of application, which matters: what is replaced must not
 * have been loaded by an earlier patch.
 *
 * | patch | without it |
 * |---|---|
 * | batch-requests | a record written costs ten times the CPU |
 * | raw-batches | aborted records are delivered, committed ones lost; reading a compacted topic stands still |
 * | idle-timer | every connection wakes the process each millisecond |
 * | send-every-partition | `send()` acknowledges records it never sent, or appends them twice |
 * | transaction-backoff | a transaction right after another fails; each costs nine round trips instead of three |
 * | single-connect | two requests in the same moment open two sockets and mix up their answers |
 * | paused-membership | leaving a group waits for a sleep; each rebalance asks for offsets that nobody needs |
 * | keep-membership | after a broker restart every task waits until the session of the old member has ended |
 * | closed-sockets | while a broker is away, sockets gather listeners and Node warns in the middle of the log |
 * | patient-sync | who joins while the leader of the group dies waits twice as long |
 * | lost-coordinator | after the death of a broker its groups give up members that live and work |
 */
export const KAFKAJS_PATCHES: readonly KafkajsPatch[] = [
  batchRequests,
  rawBatches,
  idleTimer,
  sendEveryPartition,
  transactionBackoff,
  singleConnect,
  pausedMembership,
  closedSockets,
  keepMembership,
  patientSync,
  lostCoordinator,
]

let applied = false

/**
 * Applies every patch, once per process, before anything has loaded kafkajs. Throws ConfigError KAFKAJS_VERSION for any
 * other version and KAFKAJS_LOADED_FIRST when somebody was faster.
 */
export const applyKafkajsPatches = (): void => {
  if (applied) return
  assertPatchable()
  for (const patch of KAFKAJS_PATCHES) patch.apply(kafkajsModules)
  applied = true
}
