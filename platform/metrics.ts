import { collectDefaultMetrics, Registry } from 'prom-client'

/**
 * What a process measures of itself, for Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/). Names
 * begin with `reelstream_`, units are seconds and bytes, labels are few and bounded: never a video, a key or a person.
 */
export { Counter, Gauge, Histogram, Registry } from 'prom-client'

/** How often the delay of the event loop is sampled, ms: the default of 10 costs an idle process as much as all else. */
const LOOP_SAMPLE_MS = 200

/** A registry with CPU, memory, garbage collection and event-loop delay of this process; `role` is a label of everything. */
export const createMetrics = (role: string): Registry => {
  const registry = new Registry()
  registry.setDefaultLabels({ role })
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LOOP_SAMPLE_MS })
  return registry
}
