import { compaction } from './compaction.ts'
import { freezeProcess } from './freeze-process.ts'
import { killBroker } from './kill-broker.ts'
import { killProcess } from './kill-process.ts'
import { lostResponses } from './lost-responses.ts'
import { scale } from './scale.ts'
import type { Scenario } from './scenario.ts'
import { storm } from './storm.ts'

export const SCENARIOS: readonly Scenario[] = [
  killProcess,
  freezeProcess,
  killBroker,
  scale,
  compaction,
  lostResponses,
  storm,
]
