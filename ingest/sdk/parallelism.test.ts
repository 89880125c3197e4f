import fc from 'fast-check'
import t from 'tap'
import { Parallelism } from './parallelism.ts'

/** A line that carries what the connections ask for, up to what it can. */
const line = (max: number) => {
  let now = 0
  const parallelism = new Parallelism(max, () => now)
  return {
    parallelism,
    /** Sends so many parts of a thousand bytes; each connection manages `eachBps`, all together `lineBps`. */
    send: (parts: number, { eachBps, lineBps }: { eachBps: number; lineBps: number }) => {
      const seen: number[] = []
      for (let i = 0; i < parts; i++) {
        now += 1_000_000 / Math.min(lineBps, eachBps * parallelism.limit)
        parallelism.arrived(1000)
        seen.push(parallelism.limit)
      }
      return seen
    },
  }
}

t.test('it begins with four, and takes more as long as that is faster', async (t) => {
  const { parallelism, send } = line(32)
  t.equal(parallelism.limit, 4)
  send(200, { eachBps: 1_000, lineBps: 8_000 })
  t.ok(parallelism.limit >= 8, `${parallelism.limit} connections fill a line for eight`)
})

t.test('where one connection fills the line, it does not run to the bound', async (t) => {
  const { send } = line(32)
  const [most] = send(20, { eachBps: 8_000, lineBps: 8_000 }).sort((a, b) => b - a)
  t.ok((most ?? 32) <= 6, `at most ${most}`)
})

t.test('it takes no more than the bound', async (t) => {
  const { parallelism, send } = line(5)
  send(200, { eachBps: 1_000, lineBps: 1e9 })
  t.equal(parallelism.limit, 5)
  t.equal(new Parallelism(1).limit, 1)
})

t.test('a bound that comes later counts from then on', async (t) => {
  const { parallelism, send } = line(32)
  parallelism.bound(3)
  send(200, { eachBps: 1_000, lineBps: 1e9 })
  t.equal(parallelism.limit, 3)
  parallelism.bound(1)
  t.equal(parallelism.limit, 1)
  parallelism.bound(9)
  send(200, { eachBps: 1_000, lineBps: 1e9 })
  t.equal(parallelism.limit, 1, 'and is not lifted')
})

t.test('a failure halves it; those that come together count once; later it grows again', async (t) => {
  const { parallelism, send } = line(16)
  send(100, { eachBps: 1_000, lineBps: 1e9 })
  t.equal(parallelism.limit, 16)
  for (let i = 0; i < 16; i++) parallelism.failed()
  t.equal(parallelism.limit, 8)
  send(8, { eachBps: 1_000, lineBps: 1e9 })
  t.equal(parallelism.limit, 8, 'not at once')
  send(300, { eachBps: 1_000, lineBps: 1e9 })
  t.equal(parallelism.limit, 16)
})

t.test('a line that becomes slow because of more is given less again', async (t) => {
  let now = 0
  const parallelism = new Parallelism(32, () => now)
  const arrive = (bps: number) => {
    for (let left = parallelism.limit; left > 0; left--) {
      now += 1_000_000 / bps
      parallelism.arrived(1000)
    }
  }
  arrive(1_000)
  t.equal(parallelism.limit, 6)
  arrive(500)
  t.equal(parallelism.limit, 4)
})

t.test('whatever happens, there is at least one and there are at most as many as allowed', async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('arrived' as const), ms: fc.nat(5_000) }),
    fc.constant({ kind: 'failed' as const, ms: 0 }),
    fc.constant({ kind: 'beginWindow' as const, ms: 0 }),
  )
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 32 }), fc.array(step, { maxLength: 300 }), (max, steps) => {
      let now = 0
      const parallelism = new Parallelism(max, () => now)
      return steps.every(({ kind, ms }) => {
        now += ms
        if (kind === 'arrived') parallelism.arrived(1000)
        else parallelism[kind]()
        return parallelism.limit >= 1 && parallelism.limit <= max
      })
    }),
  )
})
