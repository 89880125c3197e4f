import fc from 'fast-check'
import t from 'tap'
import { Bisection } from './bisection.ts'
import { FoldedInputs } from './folded-inputs.ts'
import type { Message } from './mailbox.ts'

const REFUSAL = { code: 'COMMIT_REJECTED', detail: 'too large' }

const recordAt = (offset: number): Message => ({
  kind: 'record',
  record: {
    topic: 'orders',
    partition: 0,
    offset: BigInt(offset),
    timestampMs: 0,
    key: 'k',
    value: null,
    headers: {},
  },
})

const folded = (messages: readonly Message[]): FoldedInputs => {
  const inputs = new FoldedInputs()
  for (const message of messages) inputs.add(message)
  return inputs
}

/** Folds as the run loop does: batches of at most `limit`, again from the position after each rejection. */
const foldAll = (count: number, isGuilty: (offset: number) => boolean) => {
  const bisection = new Bisection()
  const refused: number[] = []
  let attempts = 0
  for (let position = 0; position < count && attempts < 10_000; attempts++) {
    const batch = Array.from({ length: count - position }, (_, n) => position + n).slice(0, bisection.limit)
    const messages = batch.map(recordAt)
    const refusals = batch.filter((_, n) => bisection.refusalOf(messages[n] as Message) !== null)
    if (batch.some((offset) => isGuilty(offset) && !refusals.includes(offset))) {
      bisection.rejected(folded(messages), REFUSAL)
      continue
    }
    refused.push(...refusals)
    bisection.committed(batch.length)
    position += batch.length
  }
  return { refused, attempts, limit: bisection.limit }
}

t.test('exactly the inputs at fault are refused, and the rest in full batches again', async (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 200 }), fc.array(fc.nat(199), { maxLength: 5 }), (count, guilty) => {
      const expected = [...new Set(guilty)].filter((offset) => offset < count).toSorted((a, b) => a - b)
      const { refused, limit } = foldAll(count, (offset) => guilty.includes(offset))
      return JSON.stringify(refused) === JSON.stringify(expected) && limit === Number.POSITIVE_INFINITY
    }),
  )
  const { attempts } = foldAll(1_000, (offset) => offset === 777)
  t.ok(attempts < 40, `the search halves: ${attempts} batches`)
})

t.test('a batch without inputs has nobody to refuse', async (t) => {
  t.notOk(new Bisection().rejected(folded([]), REFUSAL))
})
