import { type Logger, pino } from 'pino'
import { describeError } from '../../../platform/errors.ts'
import { COMMIT_REJECTED } from '../../task/attempts.ts'
import { POISONED } from './packing.ts'

/** What a schedule says of itself: how often what happened, and, when somebody wants to read it, each thing in its turn. */
export interface Notes {
  /** Counts it; the facts are for the trace. */
  note(what: string, facts?: string): void
  count(what: string): void
  /** Must never be. */
  violated(what: string): void
  /** The log of the engine: it is read, too. */
  readonly logger: Logger
  /** Processes of which a task had to open again, or was not closed in time. */
  readonly disturbed: ReadonlySet<string>
  readonly violations: readonly string[]
  readonly trace: readonly string[]
  readonly counts: ReadonlyMap<string, number>
}

interface Line {
  readonly level: number
  readonly msg: string
  readonly process: string
  readonly code?: string
  readonly detail?: string
}

/** Pino's numbers. */
const WARN = 40
const ERROR = 50
const DISTURBING: readonly string[] = ['task reopens', 'tasks given up before they were closed']
/** What faults may lead to, and the one failure of a handler that the topology knows. */
const isExpected = ({ msg, code, detail = '' }: Line): boolean =>
  msg === 'group member crashed, joining again' ||
  (msg.startsWith('key blocked') && (detail.endsWith(POISONED) || code === COMMIT_REJECTED))

export const createNotes = (isTraced: boolean, sinceStartMs: () => number): Notes => {
  const violations: string[] = []
  const trace: string[] = []
  const counts = new Map<string, number>()
  const disturbed = new Set<string>()
  const count = (what: string): void => void counts.set(what, (counts.get(what) ?? 0) + 1)
  const write = (line: string): void => {
    const said = JSON.parse(line) as Line
    const { level, msg, ...facts } = said
    if (isTraced) trace.push(`${sinceStartMs()} ${msg} ${JSON.stringify(facts)}`)
    if (level >= WARN) count(msg)
    if (DISTURBING.includes(msg)) disturbed.add(facts.process)
    if (level >= ERROR && !isExpected(said)) violations.push(`${msg}: ${JSON.stringify(facts)}`)
  }
  const level = isTraced ? 'debug' : 'warn'
  return {
    note: (what, facts = '') => {
      count(what)
      if (isTraced) trace.push(`${sinceStartMs()} ${what} ${facts}`)
    },
    count,
    violated: (what) => void violations.push(what),
    logger: pino({ level, base: null, timestamp: false, serializers: { err: describeError } }, { write }),
    disturbed,
    violations,
    trace,
    counts,
  }
}
