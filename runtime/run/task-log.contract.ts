import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Test } from 'tap'
import type { LogRecord, OutputRecord } from '../kafka/log-records.ts'
import type { ChangelogRecord } from '../task/changelog.ts'
import type { Batch } from '../task/journal.ts'
import type { ChangelogProgress, TaskLog, TaskLogWriter } from './task-log.ts'

/**
 * What the engine relies on in a TaskLog, as tests: the memory that the simulation runs on and the broker of production
 * pass the same ones. A bed is made fresh for each test.
 */
export interface TaskLogBed {
  /** Topics that the task may write to, two partitions each; the first is also the input that it reads. */
  readonly outputs: readonly [string, string]
  /** The durable side of the task as one process after the other has it; `lose` acts on its own requests only. */
  owner(): TaskLog & { lose(answer: LostAnswer): void }
  /** Another task that writes the same topics. */
  neighbour(): TaskLog & { lose(answer: LostAnswer): void }
  /** What readers of committed records see of one partition. */
  committed(topic: string, partition: number): Promise<readonly LogRecord[]>
  /** Appends outside any transaction. */
  produce(record: OutputRecord): Promise<void>
  /** Resolves when the log cleaner has been over the changelog, or at least over a part of it. */
  compact(touch: () => Promise<void>): Promise<void>
}

/** The next such request is carried out, its answer does not come. */
export type LostAnswer = 'produce' | 'endTransaction'

/** The task's own partition, of changelog and inputs. */
export const TASK = 1

export const taskLogContract = (t: Test, newBed: (t: Test) => Promise<TaskLogBed>): void => {
  const test = (name: string, run: (t: Test, bed: TaskLogBed) => Promise<void>): void =>
    void t.test(name, async (t) => run(t, await newBed(t)))

  test('what is committed together is seen together, memory and outputs, each where it belongs', async (t, bed) => {
    const [first, second] = bed.outputs
    const owner = bed.owner()
    const writer = await openWriter(t, owner)
    await writer.commit({
      outputs: [output(first, 'a', 0), output(first, 'b', 1), output(second, 'c', 0)],
      changelog: [entry('k', '1')],
    })
    await seen(t, bed, first, 0, ['a'])
    await seen(t, bed, first, 1, ['b'])
    await seen(t, bed, second, 0, ['c'])
    t.same(await changelogOf(owner, 1), ['k=1'])
  })

  test('records come back as they were: key, value, headers, tombstones', async (t, bed) => {
    const [topic] = bed.outputs
    const writer = await openWriter(t, bed.owner())
    const record = { topic, partition: 0, key: 'schlüssel', value: Buffer.from([0, 1, 255]), headers: { ce_id: 'ü' } }
    await writer.commit({ outputs: [record, { ...record, value: null, headers: {} }], changelog: [entry('k', null)] })
    const records = await eventually(bed, topic, 0, 2)
    t.match(records, [record, { key: 'schlüssel', value: null, headers: {} }])
    t.same(await changelogOf(bed.owner(), 1), ['k=∅'])
  })

  test('a reading tells how far it is, to the end as of its beginning', async (t, bed) => {
    const owner = bed.owner()
    const writer = await openWriter(t, owner)
    for (const n of [0, 1, 2]) await writer.commit({ outputs: [], changelog: [entry('k', `${n}`)] })
    await changelogOf(owner, 3)
    const told: ChangelogProgress[] = []
    const { next } = await owner.readChangelog((_records, progress) => void told.push(progress))
    const last = told.at(-1)
    t.equal(last?.from, 0n)
    t.equal(last?.end, next)
    t.ok(
      told.every(({ next: at }, n) => at > (told[n - 1]?.next ?? 0n) && at <= next),
      'it goes on',
    )

    await writer.commit({ outputs: [], changelog: [entry('k', '3')] })
    await changelogOf(owner, 4)
    const since: ChangelogProgress[] = []
    await owner.readChangelog((_records, progress) => void since.push(progress), next)
    t.match(since, [{ from: next }])
  })

  test('a key without a partition goes where every client would send it', async (t, bed) => {
    const [topic] = bed.outputs
    const writer = await openWriter(t, bed.owner())
    // murmur2('foobar') without its sign is 1357151166: even
    await writer.commit({ outputs: [{ topic, key: 'foobar', value: Buffer.from('x'), headers: {} }], changelog: [] })
    await seen(t, bed, topic, 0, ['x'])
  })

  test('order per partition is the order given, over commits, too', async (t, bed) => {
    const [topic] = bed.outputs
    const owner = bed.owner()
    const writer = await openWriter(t, owner)
    for (const n of [0, 1, 2]) {
      await writer.commit({
        outputs: ['x', 'y'].map((name) => output(topic, `${name}${n}`, 0)),
        changelog: [entry('k', `${n}`), entry('p', `${n}`)],
      })
    }
    await seen(t, bed, topic, 0, ['x0', 'y0', 'x1', 'y1', 'x2', 'y2'])
    t.same((await changelogOf(owner, 6)).slice(-2), ['k=2', 'p=2'])
  })

  test('a batch without outputs, and one without anything', async (t, bed) => {
    const owner = bed.owner()
    const writer = await openWriter(t, owner)
    await writer.commit({ outputs: [], changelog: [] })
    await writer.commit({ outputs: [], changelog: [entry('p', '1')] })
    t.same(await changelogOf(owner, 1), ['p=1'])
  })

  test('an empty changelog ends at once', async (t, bed) => {
    t.same(await changelogOf(bed.owner()), [])
  })

  test('opening fences the owner before, which stays dead', async (t, bed) => {
    const [topic] = bed.outputs
    const old = await openWriter(t, bed.owner())
    await old.commit({ outputs: [output(topic, 'before', 0)], changelog: [entry('p', '1')] })
    const owner = bed.owner()
    const current = await openWriter(t, owner)
    const zombie: Batch = { outputs: [output(topic, 'zombie', 0)], changelog: [entry('p', 'zombie')] }
    await t.rejects(old.commit(zombie), { code: 'FENCED', retryable: false })
    await t.rejects(old.commit(zombie), { code: 'WRITER_MISUSED' })
    await current.commit({ outputs: [output(topic, 'after', 0)], changelog: [entry('p', '2')] })
    await seen(t, bed, topic, 0, ['before', 'after'])
    t.same((await changelogOf(owner, 2)).at(-1), 'p=2')
  })

  test('one commit at a time', async (t, bed) => {
    const [topic] = bed.outputs
    const writer = await openWriter(t, bed.owner())
    const first = writer.commit({ outputs: [output(topic, 'first', 0)], changelog: [] })
    await t.rejects(writer.commit({ outputs: [output(topic, 'second', 0)], changelog: [] }), { code: 'WRITER_MISUSED' })
    await first
    await seen(t, bed, topic, 0, ['first'])
  })

  test('opening undoes what the owner before left open, and nobody waits for it any more', async (t, bed) => {
    const [topic] = bed.outputs
    const dying = bed.owner()
    const writer = await openWriter(t, dying)
    await writer.commit({ outputs: [output(topic, 'first', 0)], changelog: [entry('p', '1')] })
    dying.lose('produce')
    await t.rejects(writer.commit({ outputs: [output(topic, 'undone', 0)], changelog: [entry('p', 'undone')] }), {
      code: 'COMMIT_FAILED',
      retryable: true,
    })
    await bed.produce(output(topic, 'behind it', 0))
    const owner = bed.owner()
    const next = await openWriter(t, owner)
    t.same(await changelogOf(owner), ['p=1'], 'the tail holds nothing but what was aborted, and markers')
    await seen(t, bed, topic, 0, ['first', 'behind it'])
    await next.commit({ outputs: [output(topic, 'again', 0)], changelog: [entry('p', '2')] })
    await seen(t, bed, topic, 0, ['first', 'behind it', 'again'])
  })

  test('a commit whose answer is lost has happened, and the next owner reads that it has', async (t, bed) => {
    const [topic] = bed.outputs
    const dying = bed.owner()
    const writer = await openWriter(t, dying)
    dying.lose('endTransaction')
    await t.rejects(writer.commit({ outputs: [output(topic, 'doubtful', 0)], changelog: [entry('p', '1')] }), {
      code: 'COMMIT_FAILED',
      retryable: true,
    })
    await t.rejects(writer.commit({ outputs: [], changelog: [entry('p', '1')] }), { code: 'WRITER_MISUSED' })
    const owner = bed.owner()
    const next = await openWriter(t, owner)
    t.same(await changelogOf(owner), ['p=1'])
    await next.commit({ outputs: [], changelog: [entry('p', '2')] })
    await seen(t, bed, topic, 0, ['doubtful'])
  })

  test('an input is read from an offset to its end, over what was aborted', async (t, bed) => {
    const [topic] = bed.outputs
    const dying = bed.owner()
    const writer = await openWriter(t, dying)
    await bed.produce(output(topic, 'a', TASK))
    await writer.commit({ outputs: [output(topic, 'b', TASK)], changelog: [] })
    dying.lose('produce')
    await t.rejects(writer.commit({ outputs: [output(topic, 'aborted', TASK)], changelog: [] }))
    const owner = bed.owner()
    await openWriter(t, owner)
    await bed.produce(output(topic, 'c', TASK))
    await eventually(bed, topic, TASK, 3)
    const { records, next } = await inputOf(owner, topic, 0n)
    t.same(records.map(textOf), ['a', 'b', 'c'])
    const offsets = records.map(({ offset }) => offset)
    t.same(offsets, offsets.toSorted(ascending))
    const [, , last] = offsets as [bigint, bigint, bigint]
    t.ok(last > 2n, 'offsets have gaps')
    t.ok(next !== null && next > last)
    t.same((await inputOf(owner, topic, 1n)).records.map(textOf), ['b', 'c'])
    t.same((await inputOf(owner, topic, last)).records.map(textOf), ['c'])
    t.same((await inputOf(owner, topic, last + 1n)).records, [], 'from the end on there is nothing')
  })

  test('what the inputs hold, and what every partition of the outputs holds', async (t, bed) => {
    const [first, second] = bed.outputs
    const owner = bed.owner()
    const writer = await openWriter(t, owner)
    t.same((await owner.inputRanges()).get(first), { beginning: 0n, end: 0n })
    await writer.commit({
      outputs: [output(first, 'a', 0), output(first, 'b', TASK), output(second, 'c', 0)],
      changelog: [],
    })
    for (const [topic, partition] of [
      [first, 0],
      [first, TASK],
      [second, 0],
    ] as const) {
      await eventually(bed, topic, partition, 1)
    }
    const { beginning, end } = (await owner.inputRanges()).get(first) ?? {}
    t.equal(beginning, 0n)
    t.ok(end !== undefined && end >= 1n, 'a marker counts')
    const found: string[] = []
    await owner.readOutputs((record, isFirst) => found.push(`${textOf(record)} ${isFirst}`))
    t.same(found.toSorted(), ['a false', 'b false', 'c false'], 'nothing was forgotten before any of them')
  })

  test('what was written to the outputs is read to the last, past the open transaction of another task', async (t, bed) => {
    const [topic] = bed.outputs
    const owner = bed.owner()
    const dying = bed.neighbour()
    const open = await openWriter(t, dying)
    dying.lose('produce')
    await t.rejects(open.commit({ outputs: [output(topic, 'undecided', 0)], changelog: [] }), { code: 'COMMIT_FAILED' })
    const writer = await openWriter(t, owner)
    await writer.commit({ outputs: [output(topic, 'mine', 0)], changelog: [] })
    const found: string[] = []
    const reading = owner.readOutputs((record) => found.push(textOf(record)))
    await openWriter(t, bed.neighbour())
    await reading
    t.same(found, ['mine'])
  })

  test('the changelog is read on from where it was read to', async (t, bed) => {
    const owner = bed.owner()
    const writer = await openWriter(t, owner)
    await writer.commit({ outputs: [], changelog: [entry('a', '1')] })
    await changelogOf(owner, 1)
    const { beginning, next } = await owner.readChangelog(() => undefined)
    t.equal(beginning, 0n)
    await writer.commit({ outputs: [], changelog: [entry('b', '2')] })
    await changelogOf(owner, 2)
    const since: string[] = []
    await owner.readChangelog((records) => void since.push(...records.map(({ key }) => key)), next)
    t.same(since, ['b'])
  })

  test('nothing is read past the first record of an open transaction', async (t, bed) => {
    const [topic] = bed.outputs
    const dying = bed.owner()
    const writer = await openWriter(t, dying)
    await bed.produce(output(topic, 'before', TASK))
    dying.lose('produce')
    await t.rejects(writer.commit({ outputs: [output(topic, 'open', TASK)], changelog: [] }))
    await bed.produce(output(topic, 'after', TASK))
    const reader = bed.owner()
    t.same((await inputOf(reader, topic, 0n)).records.map(textOf), ['before'])
    await openWriter(t, reader)
    await eventually(bed, topic, TASK, 2)
    t.same((await inputOf(reader, topic, 0n)).records.map(textOf), ['before', 'after'])
  })

  test('what compaction leaves of the changelog ends in the last value of each key', async (t, bed) => {
    const owner = bed.owner()
    const writer = await openWriter(t, owner)
    for (let n = 1; n <= 5; n++) {
      const gone = n === 5 ? null : `${n}`
      await writer.commit({ outputs: [], changelog: [entry('a', `${n}`), entry('gone', gone), entry('p', `${n}`)] })
    }
    await bed.compact(() => writer.commit({ outputs: [], changelog: [entry('p', '5')] }))
    const left = await changelogOf(owner)
    const last = new Map(left.map((text) => text.split('=') as [string, string]))
    t.ok(left.length < 15, 'the cleaner was there')
    t.equal(last.get('a'), '5')
    t.equal(last.get('p'), '5')
    t.equal(last.get('gone') ?? '∅', '∅')
  })
}

const output = (topic: string, text: string, partition: number): OutputRecord => ({
  topic,
  partition,
  key: text,
  value: Buffer.from(text),
  headers: {},
})

const entry = (key: string, text: string | null): ChangelogRecord => ({
  key,
  value: text === null ? null : Buffer.from(text),
})

const textOf = ({ value }: { readonly value: Buffer | null }): string => (value === null ? '∅' : value.toString())
const ascending = (a: bigint, b: bigint): number => (a < b ? -1 : 1)

const openWriter = async (t: Test, owner: TaskLog): Promise<TaskLogWriter> => {
  const writer = await owner.open()
  t.teardown(() => writer.close())
  return writer
}

/**
 * The changelog as `key=text`. After an opening it is the truth; what was committed since is there within milliseconds,
 * so such a read is done again until it holds `atLeast` records.
 */
const changelogOf = (owner: TaskLog, atLeast = 0): Promise<readonly string[]> =>
  soon(
    async () => {
      const found: string[] = []
      await owner.readChangelog(async (records) => {
        found.push(...records.map((record) => `${record.key}=${textOf(record)}`))
      })
      return found
    },
    (found) => found.length >= atLeast,
  )

const inputOf = async (owner: TaskLog, topic: string, from: bigint) => {
  const records: LogRecord[] = []
  let next: bigint | null = null
  await owner.readInput(topic, from, async (batch, nextOffset) => {
    records.push(...batch)
    next = nextOffset
  })
  return { records, next: next as bigint | null }
}

/** Markers reach a partition some milliseconds after the commit was acknowledged. What is there too late is missing. */
const eventually = (bed: TaskLogBed, topic: string, partition: number, count: number) =>
  soon(
    () => bed.committed(topic, partition),
    (records) => records.length >= count,
  )

const SOON_MS = 5_000

const soon = async <T>(look: () => Promise<T>, enough: (found: T) => boolean): Promise<T> => {
  const deadline = Date.now() + SOON_MS
  for (;;) {
    const found = await look()
    if (enough(found) || Date.now() > deadline) return found
    await nextTurn()
  }
}

const seen = async (t: Test, bed: TaskLogBed, topic: string, partition: number, expected: readonly string[]) => {
  const records = await eventually(bed, topic, partition, expected.length)
  t.same(records.map(textOf), expected)
}
