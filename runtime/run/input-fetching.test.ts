import t from 'tap'
import { InputFetching } from './input-fetching.ts'

t.test("a task that is given up touches its inputs no more: they may be the next opening's by now", async (t) => {
  const calls: string[] = []
  const note = (what: string) => (topic: string) => void calls.push(`${what} ${topic}`)
  const fetching = new InputFetching({ seek: note('seek'), resume: note('resume'), pause: note('pause') }, ['orders'])
  fetching.startAt(() => 7n)
  t.ok(fetching.isOn)
  fetching.end()
  t.notOk(fetching.isOn, 'what still comes is not taken')
  t.same(calls.splice(0), ['seek orders', 'resume orders', 'pause orders'])
  fetching.resume()
  fetching.pause()
  fetching.startAt(() => 8n)
  t.notOk(fetching.isOn)
  t.same(calls, [])
})
