import { parseArgs } from 'node:util'
import { keep } from '../../../bench/table.ts'
import { openRoles } from '../../chaos/roles.ts'
import { onDemand, type Teardowns } from '../../on-demand.ts'
import { FUZZ_SETTINGS, type FuzzResult, fuzz, fuzzTarget, WITHOUT_SUCCESS } from './fuzz.ts'

/**
 * `npm run test:fuzz [-- --requests N] [--seed N]`: the long run, on demand, on a product of its own. A whole one is kept
 * as bench/results/fuzz.md. Exit code 1: an answer broke a promise.
 */
const REQUESTS = 50_000
const LONGEST_MS = 30 * 60_000

const run = async (t: Teardowns): Promise<boolean> => {
  const { values } = parseArgs({ options: { requests: { type: 'string' }, seed: { type: 'string' } } })
  const requests = Number(values.requests ?? REQUESTS)
  const seed = Number(values.seed ?? Date.now() % 2 ** 31)
  const roles = await openRoles(t, { detours: async () => FUZZ_SETTINGS })
  const started = await Promise.all(['processors', 'projections', 'front'].map((name) => roles.start(name)))
  const result = await fuzz(await fuzzTarget(roles.env), { seed, requests, withinMs: LONGEST_MS })
  const deaths = started.filter((role) => role.hasExited()).map(({ name }) => name)
  const lines = reportLines(result, seed, deaths)
  if (requests >= REQUESTS) keep('fuzz', lines)
  else console.log(lines.join('\n'))
  return result.failure === null && deaths.length === 0
}

const CLASSES = [2, 3, 4, 5]

const reportLines = (result: FuzzResult, seed: number, deaths: readonly string[]): readonly string[] => {
  const { answers, notYetVisible, failure } = result
  const total = [...answers.values()].flatMap((of) => [...of.values()]).reduce((sum, count) => sum + count, 0)
  return [
    `${total} requests made from the OpenAPI document (${answers.size} operations, seed ${seed}), valid and not, as two authors and as nobody.`,
    '',
    `| operation | ${CLASSES.map((each) => `${each}xx`).join(' | ')} | statuses |`,
    `|---|${CLASSES.map(() => '---|').join('')}---|`,
    ...[...answers].sort().map(([operation, of]) => rowOf(operation, of)),
    '',
    failure === null ? 'No answer broke a promise:' : `**Broken: ${failure}**. Promised are`,
    'a status that is documented; none of 5xx but 503 `NOT_YET_VISIBLE` to an `after` that nobody claimed',
    `(${notYetVisible}); and for every refusal problem+json with a code of ours.`,
    ...(deaths.length === 0 ? [] : ['', `**Processes that ended by themselves: ${deaths.join(', ')}**`]),
    '',
    `Left out: ${WITHOUT_SUCCESS.join(' and ')} cannot succeed, for nobody encodes; admins and upload tokens`,
    '(test/integration/permissions.int.test.ts); content types and URLs that no route is asked for',
    '(platform/http/http-server.test.ts); requests at the same time, limits on what is open, servers that are away.',
  ]
}

const rowOf = (operation: string, of: ReadonlyMap<number, number>): string => {
  const ofClass = (hundreds: number) =>
    [...of].filter(([status]) => Math.floor(status / 100) === hundreds).reduce((sum, [, count]) => sum + count, 0)
  const statuses = [...of].sort(([a], [b]) => a - b).map(([status, count]) => `${status}: ${count}`)
  return `| ${[operation, ...CLASSES.map((each) => ofClass(each) || ''), statuses.join(', ')].join(' | ')} |`
}

await onDemand(run)
