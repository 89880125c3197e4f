import t from 'tap'
import { systemClock } from '../../platform/clock.ts'
import { UpstreamError } from '../../platform/errors.ts'
import type { Refusal } from '../task/dead-letter.ts'
import { SCHEMA_PATIENCE_MS, SchemaPatience } from './schema-patience.ts'

const unknown = () => new UpstreamError('SCHEMA_UNKNOWN', 'no such schema', { facts: { schemaId: 9 } })

/** One record of schema 9, and a registry that answers as told. */
const open = (learn: () => Promise<void>) => {
  let nowMs = 0
  let isLearned = false
  const refused: Refusal[] = []
  let folded = 0
  const patience = new SchemaPatience(
    async () => {
      await learn()
      isLearned = true
    },
    { ...systemClock, monotonicMs: () => nowMs },
  )
  const fold = () => {
    if (!isLearned) throw unknown()
    folded += 1
  }
  return {
    refused,
    folded: () => folded,
    later: (ms: number) => {
      nowMs += ms
    },
    recover: () => patience.recover(unknown(), fold, (refusal) => refused.push(refusal)),
  }
}

t.test('a schema that the registry has is learned, and the record folded', async (t) => {
  const run = open(async () => undefined)
  await run.recover()
  t.equal(run.folded(), 1)
})

t.test('while the registry is away the task waits, however long', async (t) => {
  const run = open(async () => {
    throw new UpstreamError('REGISTRY_UNAVAILABLE', 'away')
  })
  for (let n = 0; n < 5; n++) {
    await t.rejects(run.recover(), { code: 'REGISTRY_UNAVAILABLE', retryable: true })
    run.later(SCHEMA_PATIENCE_MS)
  }
  t.same(run.refused, [])
})

t.test('a registry that knows no such schema is believed after a while', async (t) => {
  const run = open(async () => {
    throw unknown()
  })
  await t.rejects(run.recover(), { code: 'SCHEMA_UNKNOWN' })
  run.later(SCHEMA_PATIENCE_MS - 1)
  await t.rejects(run.recover(), { code: 'SCHEMA_UNKNOWN' })
  run.later(1)
  await run.recover()
  t.match(run.refused, [{ code: 'SCHEMA_UNKNOWN' }])
})

t.test('an entry of two schemas is read when both are learned', async (t) => {
  const learned = new Set<number>()
  const patience = new SchemaPatience(async (id) => void learned.add(id), systemClock)
  let read = 0
  await patience.learning(() => {
    const missing = [7, 8].find((id) => !learned.has(id))
    if (missing !== undefined) throw new UpstreamError('SCHEMA_UNKNOWN', 'unknown', { facts: { schemaId: missing } })
    read += 1
  })
  t.equal(read, 1)
})

t.test('a schema that was learned and is not known all the same is not learned for ever', async (t) => {
  const patience = new SchemaPatience(async () => undefined, systemClock)
  await t.rejects(
    patience.learning(() => {
      throw unknown()
    }),
    { code: 'SCHEMA_UNKNOWN' },
  )
})

t.test('of several schemas those that the registry knows are learned', async (t) => {
  const learned: number[] = []
  const patience = new SchemaPatience(async (id) => {
    if (id === 9) throw unknown()
    learned.push(id)
  }, systemClock)
  await patience.learnKnown([7, 9, 8])
  t.same(learned, [7, 8])
})
