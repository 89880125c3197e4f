import t from 'tap'
import { createS3Client } from '../../storage/s3-client.ts'
import type { ReconcileWorld } from './reconcile.ts'
import { startReconciler } from './schedule.ts'

/** Port 1 belongs to nobody: every run fails at its first call. */
const nowhere = {
  endpoint: 'http://127.0.0.1:1',
  publicEndpoint: '',
  region: 'x',
  accessKeyId: 'x',
  secretAccessKey: 'x',
}

const worldWithoutS3 = (): ReconcileWorld => {
  const none = () => Promise.reject(new Error('nobody asks'))
  return {
    s3: createS3Client(nowhere),
    bucket: 'media',
    reads: { videos: none, openUploads: none, partNumbers: none, foldedUpTo: none },
    horizon: { isReached: none },
    claims: { claim: none },
    clock: { now: () => 0 },
  }
}

const scheduled = (everyMs: number) => {
  const warned: unknown[] = []
  const second = Promise.withResolvers<void>()
  const log = {
    info: () => undefined,
    warn: (facts: unknown) => {
      warned.push(facts)
      if (warned.length === 5) second.resolve()
    },
  }
  const world = worldWithoutS3()
  const running = startReconciler(world, { everyMs, graceMs: 0, retentionMs: 0, playlistsForMs: 0, log: log as never })
  return { running, warned, second: second.promise, world }
}

t.test('a run that fails is said, and followed by the next', async (t) => {
  const { running, warned, second, world } = scheduled(1)
  await second
  await running.stop()
  const unseen = (subject: string, error: RegExp) => ({ kind: 'unseen', subject, error })
  t.match(warned, [
    unseen('multiparts', /^S3_UNAVAILABLE: /),
    unseen('parts', /nobody asks/),
    unseen('objects', /^S3_UNAVAILABLE: /),
    { failed: 3, complete: false },
    unseen('multiparts', /^S3_UNAVAILABLE: /),
  ])
  world.s3.destroy()
})

t.test('ends at once, in the middle of a wait', async (t) => {
  const { running, warned, world } = scheduled(3_600_000)
  await running.stop()
  t.equal(warned.length, 0)
  world.s3.destroy()
})

t.test('does nothing when it is switched off', async (t) => {
  const { running, warned, world } = scheduled(0)
  await running.stop()
  t.equal(warned.length, 0)
  world.s3.destroy()
})
