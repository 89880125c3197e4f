import t from 'tap'
import { createMetrics } from '../../platform/metrics.ts'
import { engineMetrics, taskGauges } from './engine-metrics.ts'
import type { TaskReport } from './processor-host.ts'

const QUIET: TaskReport = {
  processor: 'fold',
  task: 0,
  state: 'running',
  failure: null,
  blocked: 0,
  held: null,
  restoring: null,
  inputs: [],
  oldestMs: 0,
  effects: [],
}

/** Samples of the metric as they are exposed, in order. */
const exposed = async (report: readonly TaskReport[], name: string): Promise<readonly string[]> => {
  const metrics = createMetrics('test')
  taskGauges(metrics, () => report)
  const lines = (await metrics.metrics()).split('\n').filter((line) => line.startsWith(`${name}{`))
  return lines.map((line) => line.slice(name.length).replace(',role="test"', ''))
}

t.test('commits, restores and reopenings are told task by task', async (t) => {
  const metrics = createMetrics('test')
  const observer = engineMetrics(metrics)
  for (const task of [0, 1]) observer.committed('fold', task, 4, 10 * (task + 1))
  observer.restored('fold', 1, 20, 300)
  observer.reopened('fold', 1, 'FENCED')
  const lines = (await metrics.metrics()).replaceAll(/,role="test"|role="test",/g, '').split('\n')
  for (const line of [
    'reelstream_commit_duration_seconds_sum{processor="fold",task="0"} 0.004',
    'reelstream_commit_records_sum{processor="fold",task="0"} 10',
    'reelstream_commit_records_sum{processor="fold",task="1"} 20',
    'reelstream_restore_duration_seconds_sum{processor="fold",task="1"} 0.02',
    'reelstream_restored_entries_total{processor="fold",task="1"} 300',
    'reelstream_task_reopened_total{processor="fold",task="1",code="FENCED"} 1',
  ])
    t.ok(lines.includes(line), line)
})

t.test('tasks are counted by state, and a state without tasks is a 0 that an alert can compare', async (t) => {
  const report = [
    QUIET,
    { ...QUIET, task: 1, state: 'failed' as const },
    { ...QUIET, task: 2, state: 'failed' as const },
  ]
  const samples = await exposed(report, 'reelstream_tasks')
  t.ok(samples.includes('{processor="fold",state="failed"} 2'))
  t.ok(samples.includes('{processor="fold",state="running"} 1'))
  t.ok(samples.includes('{processor="fold",state="reopening"} 0'))
  t.ok(samples.includes('{processor="fold",state="dormant"} 0'))
})

t.test('a task that is not known to have waiting records has no age of one', async (t) => {
  t.same(await exposed([{ ...QUIET, state: 'failed', oldestMs: null }], 'reelstream_task_lag_seconds'), [])
  t.same(await exposed([{ ...QUIET, oldestMs: 1_500 }], 'reelstream_task_lag_seconds'), [
    '{processor="fold",task="0"} 1.5',
  ])
})

t.test('how far a restore is, while there is one', async (t) => {
  const restoring = { entries: 30, offsets: 75, ofOffsets: 100, etaMs: 2_500 }
  const report = [
    { ...QUIET, state: 'starting' as const, restoring },
    { ...QUIET, task: 1 },
  ]
  t.same(await exposed(report, 'reelstream_task_restore_entries'), ['{processor="fold",task="0"} 30'])
  t.same(await exposed(report, 'reelstream_task_restore_progress_ratio'), ['{processor="fold",task="0"} 0.75'])
  t.same(await exposed(report, 'reelstream_task_restore_eta_seconds'), ['{processor="fold",task="0"} 2.5'])
  const justBegun = [{ ...QUIET, restoring: { entries: 0, offsets: 0, ofOffsets: 0, etaMs: null } }]
  t.same(await exposed(justBegun, 'reelstream_task_restore_progress_ratio'), ['{processor="fold",task="0"} 1'])
  t.same(await exposed(justBegun, 'reelstream_task_restore_eta_seconds'), [])
})
