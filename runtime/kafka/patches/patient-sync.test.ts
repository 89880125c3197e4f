import t from 'tap'
import { freshKafkajs } from './fresh-kafkajs.ts'
import type { KafkajsPatch } from './modules.ts'
import { patientSync } from './patient-sync.ts'

const LONGEST_SESSION_MS = 10_000

interface Requests {
  readonly requests: {
    readonly SyncGroup: object
  }
  lookup(versions: object): (
    apiKey: number,
    definition: object,
  ) => (request: object) => {
    readonly requestTimeout?: number
    readonly request: { readonly apiName: string }
  }
}

const syncGroupWith = (patches: readonly KafkajsPatch[]) => {
  const { requests, lookup } = freshKafkajs(patches).load<Requests>('protocol/requests/index.js')
  const syncGroup = lookup({ 14: { maxVersion: 3 } })(14, requests.SyncGroup)
  return syncGroup({ groupId: 'g', generationId: 1, memberId: 'm', groupAssignment: [] })
}

t.test('the tasks are waited for longer than a dead leader is', async (t) => {
  const { requestTimeout = 0, request } = syncGroupWith([patientSync])
  t.ok(requestTimeout > LONGEST_SESSION_MS)
  t.equal(request.apiName, 'SyncGroup')
  t.equal(syncGroupWith([]).requestTimeout, undefined, 'stock: as any other request, the patch is still needed')
})
