import type { Codec } from '../../codec/avro.ts'
import type { LogRecord } from '../../kafka/log-records.ts'
import type { TopicRef } from '../../processor.ts'
import type { MemoryLog } from '../memory-log.ts'
import { BillModel } from './bill-model.ts'
import { bills } from './billing.ts'
import { type Fact, OrderModel } from './order-model.ts'
import { type Counted, customerOf, type OrderSeen, orders, parcels, type Shipped, tallies } from './packing.ts'

/**
 * Judges what is committed, and nothing else: it knows the topology under test, and not one line of the engine.
 *
 * (a) no ce_id twice; (b) the state is the fold of what was committed, in that order (order-model.ts); (c) inputs of a key
 * in order, none left out, none twice; (d) what is confluent is the same as in a schedule without faults; (e) what was
 * asked for and not cancelled settles, what was scheduled becomes due; (f) a replay redoes nothing (bill-model.ts).
 */
export interface Judgement {
  /** What must never be, whenever one looks. */
  readonly violations: readonly string[]
  /** What has not happened yet; empty at quiescence. */
  readonly missing: readonly string[]
}

/** What was seen from outside of the log. */
export interface Witness {
  /** Whether so many runs of the job died with their process that it may be taken for the killer. */
  readonly mayBeKiller: (job: string) => boolean
  /** When replays of a task of `bill-items` began, ms. */
  readonly replaysMs: (task: number) => readonly number[]
  /** Whether the process ended in order, so that everything it had to say at its end is in the log. */
  readonly endedGracefully: (instanceId: string) => boolean
}

export const judge = (log: MemoryLog, codec: Codec, witness: Witness): Judgement => {
  const facts = (topic: TopicRef): readonly Fact[] =>
    log.readAll(topic.name).map((record) => factOf(topic, record, codec))
  const placed = facts(orders).filter(({ type }) => type !== 'OrderViewed')
  const [parcelFacts, tallyFacts] = [facts(parcels), facts(tallies)]
  const billFacts = facts(bills)
  const models = judgeOrders(placed, parcelFacts, witness.mayBeKiller)
  const verdicts = [
    ...models,
    judgeShipments(models, parcelFacts),
    judgeTallies(models, placed, parcelFacts, tallyFacts),
    ...judgeBills(billFacts, witness),
    judgeHooks(tallyFacts, witness.endedGracefully),
    judgeIds([...parcelFacts, ...tallyFacts, ...billFacts]),
  ]
  return {
    violations: verdicts.flatMap(({ violations }) => violations),
    missing: verdicts.flatMap(({ missing }) => missing),
  }
}

/** What the confluent processor said: the same whatever went wrong. */
export const confluentFacts = (log: MemoryLog, codec: Codec): readonly string[] =>
  log
    .readAll(tallies.name)
    .map((record) => factOf(tallies, record, codec))
    .filter(
      ({ type, data }) => type === 'Expected' || (type === 'OrderSeen' && (data as OrderSeen).by === 'tally-parcels'),
    )
    .map(({ type, key, id, data }) => `${type} ${key} ${id} ${JSON.stringify(data)}`)
    .sort()

const factOf = (topic: TopicRef, record: LogRecord, codec: Codec): Fact => {
  const { partition, offset, key, value, headers, timestampMs: atMs } = record
  const [type, schema] = Object.entries(topic.events).find(([, { name }]) => name === headers.ce_type) ?? []
  if (type === undefined || schema === undefined || value === null || key === null) {
    throw new TypeError(`${topic.name}/${partition}/${offset} is no fact of the topology`)
  }
  const ref = `${topic.name}/${partition}/${offset}`
  const data = codec.decode(schema, value)
  return { ref, partition, offset: `${offset}`, atMs, key, type, id: headers.ce_id ?? '', data }
}

const judgeOrders = (placed: readonly Fact[], facts: readonly Fact[], mayBeKiller: (job: string) => boolean) => {
  const inputs = Map.groupBy(placed, ({ key }) => key)
  const steps = Map.groupBy(facts, ({ key }) => key)
  return [...inputs].map(([key, ofKey]) => {
    const model = new OrderModel(key, ofKey, mayBeKiller)
    for (const fact of steps.get(key) ?? []) model.fold(fact)
    return model
  })
}

const judgeBills = (facts: readonly Fact[], { mayBeKiller, replaysMs }: Witness): readonly BillModel[] =>
  [...Map.groupBy(facts, ({ key }) => key)].map(([key, ofKey]) => {
    const task = ofKey[0]?.partition ?? 0
    const model = new BillModel(key, { mayBeKiller, replaysMs: replaysMs(task) })
    for (const fact of ofKey) model.fold(fact)
    return model
  })

/** Every shipment was decided by its order, and the other way round; of one order in its order. */
const judgeShipments = (models: readonly OrderModel[], facts: readonly Fact[]): Judgement => {
  const shipped = facts.filter(({ type }) => type === 'Shipped')
  const jobsOf = (order: string) =>
    shipped.filter(({ key, data }) => key === customerOf(order) && orderOf((data as Shipped).job) === order)
  const wrong = models.flatMap(({ key, shipped: decided }) =>
    differences(
      `shipments of ${key}`,
      decided,
      jobsOf(key).map(({ data }) => (data as Shipped).job),
    ),
  )
  return { violations: wrong, missing: [] }
}

const orderOf = (job: string): string => job.slice(0, job.indexOf('#'))

/**
 * One fact per record read, in the order of the records. The confluent processor counts them, too: what it says must be
 * the same whenever, and however often, it was done, and whatever it had forgotten meanwhile.
 */
const judgeTallies = (
  models: readonly OrderModel[],
  inputs: readonly Fact[],
  parcelFacts: readonly Fact[],
  facts: readonly Fact[],
): Judgement => {
  const placed = inputs.filter(({ type }) => type === 'OrderPlaced')
  const shipped = parcelFacts.filter(({ type }) => type === 'Shipped')
  const refs = (of: readonly Fact[], refOf: (fact: Fact) => string): ReadonlyMap<string, readonly string[]> =>
    new Map([...Map.groupBy(of, ({ key }) => key)].map(([key, ofKey]) => [key, ofKey.map(refOf)]))
  const counted = (type: string) =>
    refs(
      facts.filter((fact) => fact.type === type),
      ({ data }) => `${(data as Counted).count} ${(data as Counted).ref}`,
    )
  const seenBy = (name: string) =>
    refs(
      facts.filter(({ type, data }) => type === 'OrderSeen' && (data as OrderSeen).by === name),
      ({ data }) => (data as OrderSeen).ref,
    )
  const numbered = (of: ReadonlyMap<string, readonly string[]>) =>
    new Map([...of].map(([key, list]) => [key, list.map((ref, index) => `${index + 1} ${ref}`)]))
  const placedRefs = refs(placed, ({ ref }) => ref)
  const verdicts = [
    compare('Expected', numbered(placedRefs), counted('Expected')),
    compare('Tallied', numbered(refs(shipped, ({ data }) => (data as Shipped).job)), counted('Tallied')),
    compare('OrderSeen by tally-parcels', placedRefs, seenBy('tally-parcels')),
    compare('OrderSeen by pack-orders', new Map(models.map(({ key, placed }) => [key, placed])), seenBy('pack-orders')),
  ]
  return {
    violations: verdicts.flatMap(({ violations }) => violations),
    missing: verdicts.flatMap(({ missing }) => missing),
  }
}

type Lists = ReadonlyMap<string, readonly string[]>

/** What is found of each key must be the beginning of what is expected; the rest is missing. */
const compare = (what: string, expected: Lists, found: Lists): Judgement => {
  const violations: string[] = []
  const missing: string[] = []
  for (const key of new Set([...expected.keys(), ...found.keys()])) {
    const [should = [], is = []] = [expected.get(key), found.get(key)]
    violations.push(...differences(`${what} of ${key}`, should.slice(0, is.length), is))
    if (is.length < should.length) missing.push(`${should.length - is.length} ${what} of ${key}`)
  }
  return { violations, missing }
}

/**
 * Whoever announces that it gives a task up is the one who announced last that it has it: no zombie speaks. And whoever
 * ended in order has announced it: others wait for that.
 */
const judgeHooks = (facts: readonly Fact[], endedGracefully: Witness['endedGracefully']): Judgement => {
  const violations: string[] = []
  const owners = new Map<string, string>()
  const mustHaveClosed = (key: string): void => {
    const owner = owners.get(key)
    if (owner !== undefined && endedGracefully(owner))
      violations.push(`${owner} ended in order and never closed ${key}`)
  }
  for (const { key, type, data } of facts) {
    if (type !== 'TaskOpened' && type !== 'TaskClosed') continue
    const { instanceId } = data as { instanceId: string }
    if (type === 'TaskOpened') {
      mustHaveClosed(key)
      owners.set(key, instanceId)
    } else {
      if (owners.get(key) !== instanceId) violations.push(`${instanceId} closed ${key} of another`)
      owners.delete(key)
    }
  }
  for (const key of owners.keys()) mustHaveClosed(key)
  return { violations, missing: [] }
}

const judgeIds = (facts: readonly Fact[]): Judgement => {
  const twice = [...Map.groupBy(facts, ({ id }) => id)].filter(([, same]) => same.length > 1)
  return {
    violations: twice.map(([id, same]) => `ce_id ${id} of ${same.map(({ ref }) => ref).join(' and ')}`),
    missing: [],
  }
}

const differences = (what: string, expected: readonly string[], found: readonly string[]): string[] =>
  expected.join(', ') === found.join(', ')
    ? []
    : [`${what}: expected [${expected.join(', ')}], found [${found.join(', ')}]`]
