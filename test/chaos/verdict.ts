import {
  type Account,
  type Added,
  add,
  isOrdered,
  NEW_ACCOUNT,
  type Order,
  type Outcome,
  PIECES,
  type Piece,
} from './tally.ts'

/**
 * Whether what is in the log is what the engine promises, from the log alone. Pure, so that a test can plant what a run
 * hopefully never has.
 *
 * Per key the answers are replayed in the order of their partition beside the inputs in the order of theirs: the k-th
 * `Counted` must be the account after the k-th input (nothing lost, nothing twice, in order, state = fold); an order's
 * pieces come as 1, 2, 3 and it ends once; an alarm rings once after it was set and before it is set again. The accounts
 * in the changelog must be the ones the replay ends with.
 */
export interface Observation {
  /** Inputs of a key in the order of the log. */
  readonly inputs: ReadonlyMap<string, readonly Added[]>
  /** Answers of a key in the order of the log. */
  readonly answers: ReadonlyMap<string, readonly Answer[]>
  /** The accounts as the changelog has them at the end. */
  readonly accounts: ReadonlyMap<string, Account>
  /** Pending effects and timers that the changelog still has. */
  readonly leftovers: readonly string[]
}

export type Answer = { readonly id: string } & (
  | { readonly type: 'Counted'; readonly value: Account }
  | { readonly type: 'PieceMade'; readonly value: Piece }
  | { readonly type: 'OrderEnded'; readonly value: Outcome }
  | { readonly type: 'Rang'; readonly value: Order }
)

export interface Verdict {
  /** Inputs in the log. */
  readonly inputs: number
  readonly answers: number
  readonly lost: number
  readonly duplicated: number
  /** Out of order, or not the fold of the inputs. */
  readonly wrong: number
  /** The first faults in words. */
  readonly faults: readonly string[]
}

type Kind = 'lost' | 'duplicated' | 'wrong'
type Blame = (kind: Kind, what: string, count?: number) => void

const FAULTS_SHOWN = 10

/** @param acked inputs that the producer was told are in the log */
export const judge = (
  { inputs, answers, accounts, leftovers }: Observation,
  acked: readonly { readonly key: string; readonly n: number }[],
): Verdict => {
  const totals = { lost: 0, duplicated: 0, wrong: 0 }
  const faults: string[] = []
  const blame: Blame = (kind, what, count = 1) => {
    totals[kind] += count
    if (faults.length < FAULTS_SHOWN) faults.push(`${kind}: ${what}`)
  }
  judgeAcknowledged(inputs, acked, blame)
  judgeIds(answers, blame)
  for (const key of new Set([...inputs.keys(), ...answers.keys()])) {
    const ofKey: Blame = (kind, what, count) => blame(kind, `${key}: ${what}`, count)
    const account = replay(inputs.get(key) ?? [], answers.get(key) ?? [], ofKey)
    judgeOrders(answers.get(key) ?? [], inputs.get(key)?.length ?? 0, ofKey)
    if (!isSame(accounts.get(key) ?? NEW_ACCOUNT, account)) {
      ofKey('wrong', `the changelog has ${show(accounts.get(key))}, the fold is ${show(account)}`)
    }
  }
  for (const leftover of leftovers) blame('wrong', `still in the changelog: ${leftover}`)
  return { inputs: sizeOf(inputs), answers: sizeOf(answers), ...totals, faults }
}

/** Whether every input is answered, every order has ended and every alarm has rung: nothing more is to come. */
export const isSettled = ({ inputs, answers }: Pick<Observation, 'inputs' | 'answers'>): boolean =>
  [...inputs].every(([key, ofKey]) => {
    const count = { Counted: 0, PieceMade: 0, OrderEnded: 0, Rang: 0 }
    let alarm = 0
    for (const answer of answers.get(key) ?? []) {
      count[answer.type] += 1
      if (answer.type === 'Counted') alarm = answer.value.alarm
      if (answer.type === 'Rang') alarm = 0
    }
    return count.Counted >= ofKey.length && count.OrderEnded >= ordersOf(ofKey.length) && alarm === 0
  })

const ordersOf = (inputs: number): number => Array.from({ length: inputs }, (_, i) => i + 1).filter(isOrdered).length

const sizeOf = (map: ReadonlyMap<string, readonly unknown[]>): number =>
  [...map.values()].reduce((sum, { length }) => sum + length, 0)

const judgeAcknowledged = (
  inputs: Observation['inputs'],
  acked: readonly { readonly key: string; readonly n: number }[],
  blame: Blame,
): void => {
  const seen = new Map([...inputs].map(([key, ofKey]) => [key, new Set(ofKey.map(({ n }) => n))]))
  for (const { key, n } of acked) {
    if (!seen.get(key)?.has(n)) blame('lost', `${key}: input ${n} was acknowledged and is not in the log`)
  }
  for (const [key, ofKey] of inputs) {
    const twice = ofKey.length - (seen.get(key)?.size ?? 0)
    if (twice > 0) blame('duplicated', `${key}: ${twice} inputs are in the log twice`, twice)
    const unordered = ofKey.filter(({ n }, i) => n < (ofKey[i - 1]?.n ?? 0)).length
    if (unordered > 0) blame('wrong', `${key}: ${unordered} inputs come after a later one`, unordered)
  }
}

const judgeIds = (answers: Observation['answers'], blame: Blame): void => {
  const ids = [...answers.values()].flat().map(({ id }) => id)
  const twice = ids.length - new Set(ids).size
  if (twice > 0) blame('duplicated', `${twice} answers have the id of another`, twice)
}

/** The account after all answers as they should be. */
const replay = (inputs: readonly Added[], answers: readonly Answer[], blame: Blame): Account => {
  let account = NEW_ACCOUNT
  const fold = (): Account => {
    const counted = add(account, inputs[account.count] ?? { n: 0, amount: 0 })
    return counted.alarm === 0 ? { ...counted, alarm: counted.count } : counted
  }
  for (const { type, value } of answers) {
    if (type === 'Rang') {
      if (account.alarm === 0) blame('duplicated', `the alarm of input ${value.count} rang without being set`)
      else if (account.alarm !== value.count) blame('wrong', `alarm ${value.count} rang, ${account.alarm} was set`)
      account = { ...account, alarm: 0 }
    }
    if (type !== 'Counted') continue
    if (value.count <= account.count) {
      blame('duplicated', `answer ${value.count} comes again`)
      continue
    }
    while (account.count + 1 < value.count) {
      account = fold()
      blame('lost', `there is no answer ${account.count}`)
    }
    account = fold()
    if (!isSame(value, account)) blame('wrong', `answer is ${show(value)}, the fold is ${show(account)}`)
  }
  const unanswered = inputs.length - account.count
  if (unanswered > 0) blame('lost', `the last ${unanswered} of ${inputs.length} inputs have no answer`, unanswered)
  while (account.count < inputs.length) account = fold()
  return account
}

const judgeOrders = (answers: readonly Answer[], inputs: number, blame: Blame): void => {
  const pieces = new Map<number, number>()
  const ended = new Map<number, number>()
  for (const answer of answers) {
    if (answer.type === 'PieceMade') {
      const { count, piece } = answer.value
      const before = pieces.get(count) ?? 0
      if (piece <= before) blame('duplicated', `piece ${piece} of order ${count} comes again`)
      else if (piece > before + 1) blame('lost', `order ${count} has piece ${piece} after ${before}`)
      pieces.set(count, Math.max(piece, before))
    }
    if (answer.type !== 'OrderEnded') continue
    const { count, ok } = answer.value
    ended.set(count, (ended.get(count) ?? 0) + 1)
    if ((ended.get(count) ?? 0) > 1) blame('duplicated', `order ${count} ends again`)
    if (!ok) blame('wrong', `order ${count} failed`)
    else if (pieces.get(count) !== PIECES) blame('wrong', `order ${count} ended after piece ${pieces.get(count)}`)
  }
  for (let count = 1; count <= inputs; count++) {
    if (isOrdered(count) && !ended.has(count)) blame('lost', `order ${count} has no end`)
  }
}

const isSame = (a: Account, b: Account): boolean =>
  a.count === b.count && a.last === b.last && a.checksum === b.checksum && a.alarm === b.alarm

const show = (account: Account | undefined): string => JSON.stringify(account)
