import t from 'tap'
import { createMetrics } from '../../platform/metrics.ts'
import { runShop } from '../testing/shop.ts'
import { openShopOnKafka, until } from '../testing/shop-on-kafka.ts'
import { engineMetrics, taskGauges } from './engine-metrics.ts'

/** What an operator reads at /metrics of a role, from a processor that has met a bit of everything. */
t.test('a processor in numbers', async (t) => {
  const shop = await openShopOnKafka(t, { partitions: 1 })
  const metrics = createMetrics('shop')
  const running = await runShop(shop.suffix, { boxMs: 50, observer: engineMetrics(metrics) })
  t.teardown(() => running.stop())
  taskGauges(metrics, () => running.report())
  const processor = shop.processor.name
  /** The sample of that name and those labels, as it is exposed; undefined if there is none. */
  const sample = async (name: string, labels: Readonly<Record<string, string>> = {}): Promise<number | undefined> => {
    const wanted = Object.entries({ processor, ...labels }).map(([label, value]) => `${label}="${value}"`)
    const lines = (await metrics.metrics()).split('\n').filter((line) => line.startsWith(`${name}{`))
    const found = lines.find((line) => wanted.every((label) => line.includes(label)))
    return found === undefined ? undefined : Number(found.split(' ').at(-1))
  }

  await shop.place(['poison', -1], ['long', 100], ['fine', 1])
  await until('the fine order', async () => (await shop.sent('OrderSent')).length === 1)
  const topic = shop.topics.orders
  t.equal(await sample('reelstream_inputs_set_aside_total', { where: 'blocked', code: 'HANDLER_FAILED' }), 1)
  t.equal(await sample('reelstream_blocked_keys'), 1)
  t.equal(await sample('reelstream_task_state', { task: '0', state: 'running' }), 1)
  t.equal(await sample('reelstream_tasks', { state: 'running' }), 1)
  t.equal(await sample('reelstream_tasks', { state: 'failed' }), 0)
  t.equal(await sample('reelstream_task_restore_entries', { task: '0' }), undefined, 'it is restored')
  t.equal(await sample('reelstream_task_position', { topic }), 3)
  t.equal(await sample('reelstream_task_lag_records', { topic }), 0)
  t.equal(await sample('reelstream_effects_pending', { effect: 'send' }), 1)
  const age = (await sample('reelstream_effect_oldest_seconds', { effect: 'send' })) ?? 0
  t.ok(age > 0 && age < 30, `the long one has been waiting for ${age} s`)
  t.equal(await sample('reelstream_effect_duration_seconds_count', { effect: 'send', end: 'settled' }), 1)
  t.ok(((await sample('reelstream_commit_duration_seconds_count', { task: '0' })) ?? 0) >= 2)
  t.ok(((await sample('reelstream_restore_duration_seconds_count', { task: '0' })) ?? 0) >= 1)
  t.equal(await sample('reelstream_task_reopened_total'), undefined)

  await running.stop()
  t.equal(await sample('reelstream_effect_duration_seconds_count', { effect: 'send', end: 'aborted' }), 1)
  t.equal(await sample('reelstream_task_state'), undefined, "a task that is another process's is not told here")
})
