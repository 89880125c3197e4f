import fc from 'fast-check'
import t from 'tap'
import { DueQueue } from './due-queue.ts'

interface Thing {
  readonly id: number
  readonly at: number
}
const comesBefore = (a: Thing, b: Thing): boolean => a.at < b.at || (a.at === b.at && a.id < b.id)

const commands = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('put' as const), at: fc.integer({ min: 0, max: 50 }) }),
    fc.record({ kind: fc.constant('end' as const), at: fc.nat() }),
    fc.record({ kind: fc.constant('upTo' as const), at: fc.integer({ min: 0, max: 50 }) }),
    fc.record({ kind: fc.constant('but' as const), at: fc.integer({ min: 1, max: 4 }) }),
  ),
  { maxLength: 300 },
)

t.test('is a list that is kept in order', async () => {
  await fc.assert(
    fc.property(commands, (steps) => {
      let model: Thing[] = []
      const live = new Set<Thing>()
      const queue = new DueQueue<Thing>(comesBefore, (thing) => !live.has(thing))
      for (const [id, { kind, at }] of steps.entries()) {
        if (kind === 'put') {
          const thing = { id, at }
          live.add(thing)
          queue.put(thing)
          model = [...model, thing].sort((a, b) => (comesBefore(a, b) ? -1 : 1))
        } else if (kind === 'end' && model.length > 0) {
          const [ended] = model.splice(at % model.length, 1)
          live.delete(ended as Thing)
        } else if (kind === 'upTo') {
          const isDue = (thing: Thing) => thing.at <= at
          t.same(queue.upTo(isDue), model.filter(isDue))
        } else if (kind === 'but') {
          const isPassedOver = (thing: Thing) => thing.id % at === 0
          t.equal(
            queue.firstBut(isPassedOver),
            model.find((thing) => !isPassedOver(thing)),
          )
        }
        t.equal(queue.first, model[0])
      }
    }),
    { numRuns: 200 },
  )
})

t.test('costs log n to put and nothing to look, and does not grow with what is over', async (t) => {
  const THINGS = 100_000
  let compared = 0
  const latest = new Map<number, Thing>()
  const queue = new DueQueue<Thing>(
    (a, b) => {
      compared += 1
      return comesBefore(a, b)
    },
    (thing) => latest.get(thing.id) !== thing,
  )
  const put = (thing: Thing) => {
    latest.set(thing.id, thing)
    queue.put(thing)
  }
  for (let id = 0; id < THINGS; id++) put({ id, at: THINGS - id })
  t.ok(compared < THINGS * 20, `${compared} comparisons`)
  compared = 0
  for (let n = 0; n < THINGS; n++) queue.first
  t.same([queue.upTo(() => false), compared], [[], 0])
  // Moved again and again, as a deadline is by each event.
  for (let n = 0; n < THINGS; n++) put({ id: 0, at: THINGS + n })
  t.ok(compared < THINGS * 50, `${compared} comparisons`)
  t.ok(queue.size <= 2 * THINGS)
})
