import t from 'tap'
import { seededRandom } from './random.ts'
import { SimulatedProcess } from './simulated-process.ts'
import { VirtualTime } from './virtual-time.ts'

const open = (seed = 1) => {
  const random = seededRandom(seed)
  const time = new VirtualTime(random, 1_000)
  const process = new SimulatedProcess('p1', time, random)
  const happened: string[] = []
  const at = (delayMs: number, what: string, owner: SimulatedProcess | null = process) =>
    time.after(delayMs, owner, () => happened.push(`${time.nowMs} ${what}`))
  return { time, process, happened, at }
}

t.test('events happen in the order of their times, and time is what they say', async (t) => {
  const { time, happened, at } = open()
  at(30, 'c')
  at(10, 'a')
  at(20.4, 'b')
  await time.runUntil(1_025)
  t.same(happened, ['1010 a', '1021 b'])
  t.equal(time.nowMs, 1_025)
  await time.runUntil(1_030)
  t.same(happened.at(-1), '1030 c')
})

t.test('the order within a moment is a function of the seed', async (t) => {
  const orderOf = async (seed: number): Promise<string> => {
    const { time, happened, at } = open(seed)
    for (const what of ['a', 'b', 'c', 'd', 'e']) at(5, what)
    await time.runUntil(1_010)
    return happened.join()
  }
  t.equal(await orderOf(1), await orderOf(1))
  const orders = await Promise.all([1, 2, 3, 4].map(orderOf))
  t.ok(new Set(orders).size > 1)
})

t.test('what was called off does not happen', async (t) => {
  const { time, happened, at } = open()
  const callOff = at(10, 'a')
  callOff()
  await time.runUntil(1_020)
  t.same(happened, [])
})

t.test('promises are followed to their ends before the next event', async (t) => {
  const { time, process, happened, at } = open()
  const work = async (): Promise<void> => {
    await process.sleep(10)
    for (let n = 0; n < 50; n++) await null
    happened.push('the end of a')
  }
  const done = work()
  at(10, 'b')
  at(11, 'c')
  await time.runUntil(1_020)
  await done
  t.ok(happened.indexOf('the end of a') < happened.indexOf('1011 c'))
})

t.test('a stopped process does what it missed when it goes on, in its order; a dead one nothing', async (t) => {
  const { time, process, happened, at } = open()
  at(10, 'a')
  at(20, 'b')
  at(20, 'the world', null)
  process.stop()
  await time.runUntil(1_050)
  t.same(happened, ['1020 the world'])
  process.goOn()
  await time.runUntil(1_050)
  t.same(happened.slice(1), ['1050 a', '1050 b'])
  at(10, 'c')
  process.kill()
  await time.runUntil(1_100)
  t.equal(happened.length, 3)
})
