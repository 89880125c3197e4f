import { Counter, Gauge, Histogram, type Registry } from '../../platform/metrics.ts'
import type { EngineObserver } from './observer.ts'
import type { TaskReport } from './processor-host.ts'
import { TASK_STATES } from './task-state.ts'

/**
 * The engine in numbers. What happens is counted when it happens; what is, is asked for when somebody looks. Lag is that of
 * the tasks of this process: the sum over all processes is the processor's.
 *
 * What concerns a task has its number as a label, commits and restores too: one task that commits slowly, on one broker,
 * does not show in the sum of all. That is some 25 series per task that this process has had; there are as many tasks of
 * a processor as its inputs have partitions. Effects and what was set aside are told per processor.
 */
export const engineMetrics = (registry: Registry): EngineObserver => {
  const registers = [registry]
  const commits = new Histogram({
    name: 'reelstream_commit_duration_seconds',
    help: 'From the sending of a batch until it is committed.',
    labelNames: ['processor', 'task'],
    buckets: [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5],
    registers,
  })
  const records = new Histogram({
    name: 'reelstream_commit_records',
    help: 'Records of one commit, outputs and changelog.',
    labelNames: ['processor', 'task'],
    buckets: [1, 3, 10, 30, 100, 300, 1000, 3000],
    registers,
  })
  const restores = new Histogram({
    name: 'reelstream_restore_duration_seconds',
    help: 'From the start of a task until its memory is rebuilt from the changelog.',
    labelNames: ['processor', 'task'],
    buckets: [0.01, 0.05, 0.25, 1, 5, 15, 60],
    registers,
  })
  const entries = new Counter({
    name: 'reelstream_restored_entries_total',
    help: 'Changelog entries read by restores.',
    labelNames: ['processor', 'task'],
    registers,
  })
  const reopened = new Counter({
    name: 'reelstream_task_reopened_total',
    help: 'Times that a task was discarded and opened again, by reason; FENCED is a takeover by another process.',
    labelNames: ['processor', 'task', 'code'],
    registers,
  })
  const runs = new Histogram({
    name: 'reelstream_effect_duration_seconds',
    help: 'Runs of effects, by how they ended.',
    labelNames: ['processor', 'effect', 'end'],
    buckets: [0.05, 0.25, 1, 5, 15, 60, 300, 1800],
    registers,
  })
  const setAside = new Counter({
    name: 'reelstream_inputs_set_aside_total',
    help: 'Inputs that blocked their key, or went to the dead letters.',
    labelNames: ['processor', 'where', 'code'],
    registers,
  })
  return {
    committed: (processor, task, durationMs, count) => {
      commits.observe({ processor, task }, durationMs / 1000)
      records.observe({ processor, task }, count)
    },
    restored: (processor, task, durationMs, count) => {
      restores.observe({ processor, task }, durationMs / 1000)
      entries.inc({ processor, task }, count)
    },
    reopened: (processor, task, code) => reopened.inc({ processor, task, code }),
    ran: ({ processor, effect, end, durationMs }) => runs.observe({ processor, effect, end }, durationMs / 1000),
    setAside: (processor, where, code) => setAside.inc({ processor, where, code }),
  }
}

/**
 * Gauges of the tasks as they are when somebody asks. A task that is not open (reopening, failed) is told as it was last
 * seen: up to a batch of that may be folded again.
 */
export const taskGauges = (registry: Registry, report: () => readonly TaskReport[]): void => {
  /** A gauge of each task, or of several things of each: what they are called, and how much it is. */
  const gauge = (
    name: string,
    help: string,
    of: readonly string[],
    samples: (task: TaskReport) => readonly (readonly [labels: Readonly<Record<string, string>>, value: number])[],
  ): void => {
    new Gauge({
      name,
      help,
      labelNames: ['processor', 'task', ...of],
      registers: [registry],
      collect() {
        this.reset()
        for (const one of report()) {
          const { processor, task } = one
          for (const [labels, value] of samples(one)) this.set({ processor, task, ...labels }, value)
        }
      },
    })
  }
  new Gauge({
    name: 'reelstream_tasks',
    help: 'Tasks of this process by state; 0 for a state that none is in.',
    labelNames: ['processor', 'state'],
    registers: [registry],
    collect() {
      this.reset()
      for (const [processor, tasks] of Map.groupBy(report(), (task) => task.processor)) {
        for (const state of TASK_STATES) {
          this.set({ processor, state }, tasks.filter((task) => task.state === state).length)
        }
      }
    },
  })
  gauge('reelstream_task_state', 'The state that a task of this process is in: 1.', ['state'], ({ state }) => [
    [{ state }, 1],
  ])
  gauge(
    'reelstream_task_position',
    'Next offset of an input that a task folds, as of its last look.',
    ['topic'],
    ({ inputs }) => inputs.map(({ topic, position }) => [{ topic }, position]),
  )
  gauge(
    'reelstream_task_lag_records',
    'Offsets of an input that a task has not folded, to its end as of at most 30 s ago, also of a task that has stopped; none while nobody knows the end.',
    ['topic'],
    ({ inputs }) => inputs.flatMap(({ topic, lag }) => (lag === null ? [] : [[{ topic }, lag]])),
  )
  gauge(
    'reelstream_task_lag_seconds',
    'Age of the oldest fetched record that a task has not folded.',
    [],
    ({ oldestMs }) => (oldestMs === null ? [] : [[{}, oldestMs / 1000]]),
  )
  gauge(
    'reelstream_task_restore_entries',
    'Changelog entries that a task has read, while its memory is rebuilt.',
    [],
    ({ restoring }) => (restoring === null ? [] : [[{}, restoring.entries]]),
  )
  gauge(
    'reelstream_task_restore_progress_ratio',
    'How much of its changelog a task has read, by offsets, while its memory is rebuilt.',
    [],
    ({ restoring }) =>
      restoring === null ? [] : [[{}, restoring.ofOffsets === 0 ? 1 : restoring.offsets / restoring.ofOffsets]],
  )
  gauge(
    'reelstream_task_restore_eta_seconds',
    'How long a task will go on rebuilding its memory at the speed so far.',
    [],
    ({ restoring }) => (restoring === null || restoring.etaMs === null ? [] : [[{}, restoring.etaMs / 1000]]),
  )
  gauge('reelstream_blocked_keys', 'Keys that wait behind a failure: reelstream blocked list.', [], ({ blocked }) => [
    [{}, blocked],
  ])
  gauge('reelstream_effects_pending', 'Effects that were asked for and have not settled.', ['effect'], ({ effects }) =>
    effects.map(({ effect, pending }) => [{ effect }, pending]),
  )
  gauge('reelstream_effect_oldest_seconds', 'Age of the oldest pending effect.', ['effect'], ({ effects }) =>
    effects.map(({ effect, oldestMs }) => [{ effect }, oldestMs / 1000]),
  )
}
