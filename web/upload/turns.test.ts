import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { createTurns } from './turns.ts'

t.test('so many at a time, first come, first served', async (t) => {
  const turns = createTurns(2)
  const entered: number[] = []
  const leave = new Map<number, () => void>()
  for (const n of [1, 2, 3, 4]) {
    void turns.enter().then((leaving) => {
      entered.push(n)
      leave.set(n, leaving)
    })
  }
  await turn()
  t.same(entered, [1, 2])
  leave.get(2)?.()
  leave.get(2)?.()
  await turn()
  t.same(entered, [1, 2, 3], 'leaving twice is leaving once')
  leave.get(1)?.()
  leave.get(3)?.()
  await turn()
  t.same(entered, [1, 2, 3, 4])
  leave.get(4)?.()
  await Promise.all([turns.enter(), turns.enter()])
})
