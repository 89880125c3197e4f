import t from 'tap'
import { quantile, recoveryMs } from './recovery.ts'
import { type Account, type Added, add, isOrdered, NEW_ACCOUNT, PIECES } from './tally.ts'
import { type Answer, isSettled, judge, type Observation } from './verdict.ts'

/** A judge that never finds anything would let every run pass: each fault is planted here, and must be found. */
const INPUTS = 40
const inputs: readonly Added[] = Array.from({ length: INPUTS }, (_, i) => ({ n: i + 1, amount: 7 * i + 1 }))

/** What a sound engine makes of the inputs: each answered, each order carried out, one alarm after every third input. */
const soundAnswers = (): Answer[] => {
  const answers: Answer[] = []
  let account: Account = NEW_ACCOUNT
  const say = (answer: Answer extends infer A ? (A extends unknown ? Omit<A, 'id'> : never) : never) =>
    answers.push({ ...answer, id: `id-${answers.length}` } as Answer)
  for (const input of inputs) {
    const counted = add(account, input)
    account = counted.alarm === 0 ? { ...counted, alarm: counted.count } : counted
    const { count } = account
    say({ type: 'Counted', value: account })
    if (isOrdered(count)) {
      for (let piece = 1; piece <= PIECES; piece++) say({ type: 'PieceMade', value: { count, piece } })
      say({ type: 'OrderEnded', value: { count, ok: true } })
    }
    if (count % 3 !== 0 && count !== INPUTS) continue
    say({ type: 'Rang', value: { count: account.alarm } })
    account = { ...account, alarm: 0 }
  }
  return answers
}

const finalAccount = inputs.reduce(add, NEW_ACCOUNT)
const observe = (answers: readonly Answer[], rest: Partial<Observation> = {}): Observation => ({
  inputs: new Map([['key', inputs]]),
  answers: new Map([['key', answers]]),
  accounts: new Map([['key', finalAccount]]),
  leftovers: [],
  ...rest,
})
const acked = inputs.map(({ n }) => ({ key: 'key', n }))
const judgeAnswers = (answers: readonly Answer[]) => judge(observe(answers), acked)
const without = (index: number): Answer[] => soundAnswers().toSpliced(index, 1)
const indexOf = (type: Answer['type'], from = 0): number =>
  soundAnswers().findIndex((answer, index) => index >= from && answer.type === type)

t.test('a sound run has no faults', async (t) => {
  t.match(judgeAnswers(soundAnswers()), { inputs: INPUTS, lost: 0, duplicated: 0, wrong: 0, faults: [] })
})

t.test('an answer that is missing is lost, at the end and in the middle', async (t) => {
  t.match(judgeAnswers(without(indexOf('Counted', 5))), { lost: 1, duplicated: 0 })
  const last = soundAnswers().findLastIndex(({ type }) => type === 'Counted')
  t.match(judgeAnswers(without(last)), { lost: 1 })
})

t.test('an answer that comes again is doubled, with its own id and with another', async (t) => {
  const again = soundAnswers()[indexOf('Counted', 5)] as Answer
  t.match(judgeAnswers([...soundAnswers(), again]), { lost: 0, duplicated: 2 })
  t.match(judgeAnswers([...soundAnswers(), { ...again, id: 'another' }]), { lost: 0, duplicated: 1 })
})

t.test('an input that was folded twice shows in every later answer', async (t) => {
  const shifted = soundAnswers().map((answer, index) =>
    answer.type === 'Counted' && index > 9
      ? { ...answer, value: { ...answer.value, checksum: answer.value.checksum + 1 } }
      : answer,
  )
  t.ok(judgeAnswers(shifted).wrong > 20)
})

t.test('answers of a key that changed places are out of order', async (t) => {
  const answers = soundAnswers()
  const [a, b] = [indexOf('Counted', 0), indexOf('Counted', 1)]
  const swapped = answers.with(a, answers[b] as Answer).with(b, answers[a] as Answer)
  const { lost, duplicated, wrong } = judgeAnswers(swapped)
  t.ok(lost + duplicated + wrong > 0)
})

t.test('pieces of an order: one missing, one twice, an end twice, no end, a failed one', async (t) => {
  const piece = indexOf('PieceMade')
  const end = indexOf('OrderEnded')
  const answers = soundAnswers()
  t.ok(judgeAnswers(without(piece + 1)).lost > 0)
  t.ok(judgeAnswers(answers.toSpliced(piece, 0, { ...(answers[piece] as Answer), id: 'x' })).duplicated > 0)
  t.ok(judgeAnswers([...answers, { ...(answers[end] as Answer), id: 'x' }]).duplicated > 0)
  t.ok(judgeAnswers(without(end)).lost > 0)
  t.ok(judgeAnswers(answers.with(end, { id: 'x', type: 'OrderEnded', value: { count: 20, ok: false } })).wrong > 0)
})

t.test('an alarm that rings twice, and one that never does', async (t) => {
  const rang = indexOf('Rang')
  const again: Answer = { ...(soundAnswers()[rang] as Answer), id: 'x' }
  t.ok(judgeAnswers(soundAnswers().toSpliced(rang + 1, 0, again)).duplicated > 0)
  t.ok(judgeAnswers(without(rang)).wrong > 0)
  t.notOk(isSettled(observe(without(soundAnswers().findLastIndex(({ type }) => type === 'Rang')))))
  t.ok(isSettled(observe(soundAnswers())))
})

t.test('an acknowledged input that is not in the log, and one that is there twice', async (t) => {
  t.match(judge(observe(soundAnswers()), [...acked, { key: 'key', n: 99 }]), { lost: 1 })
  const twice = new Map([['key', [...inputs, inputs.at(-1) as Added]]])
  t.ok(judge(observe(soundAnswers(), { inputs: twice }), acked).duplicated > 0)
})

t.test('a changelog that has another account, or something pending', async (t) => {
  t.match(judge(observe(soundAnswers(), { accounts: new Map() }), acked), { wrong: 1 })
  t.match(judge(observe(soundAnswers(), { leftovers: ['timer of key'] }), acked), { wrong: 1 })
})

t.test(
  'the recovery is the end of the longest silence that begins at the fault, of the slowest partition',
  async (t) => {
    const touched = [900, 950, 990, 1_005, 4_000, 4_020]
    const untouched = [900, 1_000, 1_100, 1_200, 1_300]
    t.equal(recoveryMs([touched, untouched], 1_000), 3_000, 'a commit that was on its way is no recovery')
    t.equal(recoveryMs([untouched], 1_000), 100)
    t.equal(recoveryMs([[900]], 1_000), null)
    t.equal(quantile([3, 1, 2], 0.5), 2)
    t.equal(quantile([], 0.5), null)
  },
)
