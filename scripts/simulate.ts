import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { keep } from '../bench/table.ts'
import { BadInputError, describeError } from '../platform/errors.ts'
import { CALM } from '../runtime/testing/simulation/faults.ts'
import { PLANTED_BUGS } from '../runtime/testing/simulation/planted-bugs.ts'
import { runSchedule } from '../runtime/testing/simulation/schedule.ts'

/**
 * `npm run simulate [-- --schedules n] [--first seed] [--report]`: runs the engine under so many schedules, on every core,
 * and prints each seed under which a promise was broken; `--report` also compares some of them with schedules without
 * faults, looks for planted errors, and keeps what was seen in bench/results/simulation.md.
 * `npm run simulate -- --seed n` runs one schedule and prints it event by event. The exit code is 1 when a promise was
 * broken.
 */
interface Share {
  /** Seeds first, first + step … below end. */
  readonly first: number
  readonly step: number
  readonly end: number
}

interface Done {
  readonly schedules: number
  readonly broken: readonly { readonly seed: number; readonly violations: readonly string[] }[]
  readonly counts: Readonly<Record<string, number>>
}

/** Schedules between two words of a worker. */
const PORTION = 100
/** Schedules in which each planted error is looked for, for the report. */
const PLANTED_IN = 500
/** Schedules, at most, that are compared with what comes out when nothing goes wrong, for the report. */
const COMPARED = 500

const main = async (): Promise<boolean> => {
  const { values } = parseArgs({
    options: {
      schedules: { type: 'string', default: '2000' },
      first: { type: 'string', default: '1' },
      seed: { type: 'string' },
      report: { type: 'boolean', default: false },
    },
  })
  if (values.seed !== undefined) return showOne(wholeNumber('seed', values.seed))
  const first = wholeNumber('first', values.first)
  const schedules = wholeNumber('schedules', values.schedules)
  const startedAt = performance.now()
  const done = await runMany(first, schedules)
  const seconds = (performance.now() - startedAt) / 1_000
  for (const { seed, violations } of done.broken) console.log(`seed ${seed}\n  ${violations.join('\n  ')}`)
  console.log(`${done.schedules} schedules in ${seconds.toFixed(0)} s, ${done.broken.length} broke a promise`)
  if (values.report) keep('simulation', await reportOf(first, done, seconds))
  return done.broken.length === 0
}

const wholeNumber = (option: string, text: string): number => {
  const number = Number(text)
  if (Number.isSafeInteger(number) && number > 0) return number
  throw new BadInputError('BAD_ARGUMENTS', `--${option} takes a whole number above 0, got "${text}"`)
}

const showOne = async (seed: number): Promise<boolean> => {
  const { trace, violations } = await runSchedule(seed, { trace: true })
  for (const line of trace) console.log(line)
  for (const violation of violations) console.log(`BROKEN ${violation}`)
  return violations.length === 0
}

/** Spreads the seeds over the cores, one worker each. */
const runMany = async (first: number, schedules: number): Promise<Done> => {
  const workers = Math.max(1, Math.min(cpus().length, schedules))
  const shares = Array.from(
    { length: workers },
    (_, n): Share => ({ first: first + n, step: workers, end: first + schedules }),
  )
  let finished = 0
  const tell = (count: number): void => {
    const before = Math.floor((finished * 10) / schedules)
    finished += count
    const now = Math.floor((finished * 10) / schedules)
    if (now > before) console.log(`${finished} schedules`)
  }
  const parts = await Promise.all(shares.map((share) => runShare(share, tell)))
  return parts.reduce(sum)
}

const runShare = (share: Share, tell: (schedules: number) => void): Promise<Done> =>
  new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: share })
    worker.on('message', (said: number | Done) => (typeof said === 'number' ? tell(said) : resolve(said)))
    worker.on('error', reject)
  })

const work = async ({ first, step, end }: Share): Promise<Done> => {
  let done: Done = { schedules: 0, broken: [], counts: {} }
  for (let seed = first; seed < end; seed += step) {
    const { violations, counts } = await runSchedule(seed)
    done = sum(done, { schedules: 1, broken: violations.length === 0 ? [] : [{ seed, violations }], counts })
    if (done.schedules % PORTION === 0) parentPort?.postMessage(PORTION)
  }
  parentPort?.postMessage(done.schedules % PORTION)
  return done
}

const sum = (a: Done, b: Done): Done => {
  const counts = { ...a.counts }
  for (const [what, count] of Object.entries(b.counts)) counts[what] = (counts[what] ?? 0) + count
  return { schedules: a.schedules + b.schedules, broken: [...a.broken, ...b.broken], counts }
}

/** Seeds of schedules of which something confluent does not come out as if nothing had gone wrong. */
const differing = async (first: number, count: number): Promise<readonly number[]> => {
  const found: number[] = []
  for (let seed = first; seed < first + count; seed++) {
    const [noisy, calm] = [await runSchedule(seed), await runSchedule(seed, { faults: CALM })]
    const isSame = calm.violations.length === 0 && noisy.confluent.join('\n') === calm.confluent.join('\n')
    if (!isSame) found.push(seed)
  }
  return found
}

const reportOf = async (first: number, { schedules, broken, counts }: Done, seconds: number): Promise<string[]> => {
  const number = (n: number): string => n.toLocaleString('en-GB')
  const happened = Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1))
  const planted: string[] = []
  for (const [name, bug] of Object.entries(PLANTED_BUGS)) {
    const found: number[] = []
    for (let seed = 1; seed <= PLANTED_IN; seed++) {
      if ((await runSchedule(seed, { bug })).violations.length > 0) found.push(seed)
    }
    planted.push(`| ${name} | ${found[0] ?? 'not found'} | ${found.length} of ${PLANTED_IN} |`)
  }
  const compared = Math.min(COMPARED, schedules)
  const differ = await differing(first, compared)
  return [
    `The engine under ${number(schedules)} simulated schedules (seeds ${first} to ${first + schedules - 1}):`,
    `**${broken.length} broke a promise**. ${seconds.toFixed(0)} s on ${cpus().length} cores; load at the end ` +
      `${loadavg()[0]?.toFixed(1)}. What is checked, and what may go wrong: runtime/testing/simulation/schedule.ts.`,
    ...broken.map(({ seed, violations }) => `- seed ${seed}: ${violations[0]}`),
    '',
    `${compared} of them (seeds ${first} to ${first + compared - 1}) were run again without faults. In **${differ.length}** ` +
      `something confluent came out another way${differ.length === 0 ? '' : ` (seeds ${differ.join(', ')})`}.`,
    '',
    '| what happened | how often |',
    '|---|---:|',
    ...happened.map(([what, count]) => `| ${what} | ${number(count)} |`),
    '',
    'Errors that were planted, to see whether they are found:',
    '',
    '| planted | first seed that finds it | schedules that find it |',
    '|---|---:|---:|',
    ...planted,
  ]
}

if (isMainThread) {
  try {
    process.exitCode = (await main()) ? 0 : 1
  } catch (error) {
    console.error(describeError(error))
    process.exitCode = 1
  }
} else parentPort?.postMessage(await work(workerData as Share))
