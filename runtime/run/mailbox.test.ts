import t from 'tap'
import type { LogRecord } from '../kafka/log-records.ts'
import { TASK_LIMITS } from './limits.ts'
import { Mailbox } from './mailbox.ts'

const record = (bytes: number): LogRecord => ({
  topic: 'topic',
  partition: 0,
  offset: 0n,
  timestampMs: 0,
  key: 'k',
  value: Buffer.alloc(bytes),
  headers: {},
})

const open = () => {
  const calls: string[] = []
  const fetching = { pause: () => calls.push('pause'), resume: () => calls.push('resume') }
  const mailbox = new Mailbox(fetching, TASK_LIMITS.mailbox)
  const push = (count: number, bytes: number): void => {
    for (let n = 0; n < count; n++) mailbox.push({ kind: 'record', record: record(bytes) })
  }
  const take = (count: number): void => {
    for (let n = 0; n < count; n++) mailbox.shift()
    mailbox.refill()
  }
  return { mailbox, calls, push, take }
}

t.test('many records pause fetching once, and few let it go on', async (t) => {
  const { calls, push, take } = open()
  push(1_000, 10)
  t.same(calls, [])
  push(500, 10)
  t.same(calls, ['pause'])
  take(1_200)
  t.same(calls, ['pause'])
  take(100)
  t.same(calls, ['pause', 'resume'])
})

t.test('so do large ones', async (t) => {
  const { calls, push, take } = open()
  push(4, 900_000)
  t.same(calls, ['pause'])
  take(3)
  t.same(calls, ['pause'])
  take(1)
  t.same(calls, ['pause', 'resume'])
})

t.test('passing over lets fetching go on, and says where it is', async (t) => {
  const { mailbox, calls, push } = open()
  push(1_001, 10)
  mailbox.push({ kind: 'skip', topic: 'topic', offset: 7n })
  mailbox.push({ kind: 'skip', topic: 'topic', offset: 9n })
  t.same(mailbox.passOver(), new Map([['topic', 9n]]))
  t.same(calls, ['pause', 'resume'])
  t.equal(mailbox.size, 0)
  push(3, 900_000)
  t.same(calls, ['pause', 'resume', 'pause'], 'what was dropped is not counted')
})
