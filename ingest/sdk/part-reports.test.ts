import t from 'tap'
import { createPartReports } from './part-reports.ts'

const part = (partNumber: number) => ({ partNumber, sizeBytes: 1, checksumSha256: 'c', etag: 'e' })

const start = (passes = true) => {
  const told: (number | 'check')[] = []
  const report = async ({ partNumber }: { partNumber: number }) => void told.push(partNumber)
  const check = async () => {
    told.push('check')
    if (!passes) throw new Error('changed')
  }
  return { told, report, check, reports: createPartReports(report, check) }
}

const turns = () => new Promise(setImmediate)

t.test('a part waits until another one is on its way, the last one for the check', async (t) => {
  const { told, reports } = start()
  reports.begun()
  const first = reports.stored(part(1))
  await turns()
  t.same(told, [], 'it may be the last')
  reports.begun()
  await first
  t.same(told, [1])
  const second = reports.stored(part(2))
  reports.ended()
  await second
  t.same(told, [1, 'check', 2])
})

t.test('of several that are stored in any order, only the last one waits', async (t) => {
  const { told, reports } = start()
  for (const _ of [1, 2, 3]) reports.begun()
  reports.ended()
  await reports.stored(part(2))
  await reports.stored(part(3))
  t.same(told, [2, 3])
  await reports.stored(part(1))
  t.same(told, [2, 3, 'check', 1])
})

t.test('what does not pass is not reported', async (t) => {
  const { told, reports } = start(false)
  reports.begun()
  reports.ended()
  await t.rejects(reports.stored(part(1)), { message: 'changed' })
  t.same(told, ['check'])
})

t.test('where the last one was dropped the check comes at the end, once', async (t) => {
  const { told, reports } = start()
  reports.begun()
  const first = reports.stored(part(1))
  reports.begun()
  await first
  reports.dropped()
  reports.ended()
  await reports.finished()
  t.same(told, [1, 'check'])

  const failing = start(false)
  failing.reports.begun()
  failing.reports.dropped()
  await t.rejects(failing.reports.finished(), { message: 'changed' })

  const nothing = start()
  nothing.reports.ended()
  await nothing.reports.finished()
  t.same(nothing.told, [], 'nothing was sent')
})

t.test('without a check nothing waits', async (t) => {
  const { told, report } = start()
  const reports = createPartReports(report, null)
  reports.begun()
  await reports.stored(part(1))
  t.same(told, [1])
})
