import { parseArgs } from 'node:util'
import { keep } from '../../../bench/table.ts'
import { openRoles } from '../../chaos/roles.ts'
import { onDemand, type Teardowns } from '../../on-demand.ts'
import { type FuzzResult, fuzz } from './fuzz.ts'

/**
 * `npm run test:fuzz [-- --requests N] [--seed N]`: the long run, on demand, on a product of its own. A whole one is kept
 * as bench/results/fuzz.md. Exit code 1: a request was answered with 5xx.
 */
const REQUESTS = 50_000
const LONGEST_MS = 30 * 60_000

const run = async (t: Teardowns): Promise<boolean> => {
  const { values } = parseArgs({ options: { requests: { type: 'string' }, seed: { type: 'string' } } })
  const requests = Number(values.requests ?? REQUESTS)
  const seed = Number(values.seed ?? Date.now() % 2 ** 31)
  const roles = await openRoles(t)
  const started = await Promise.all(['processors', 'projections', 'front'].map((name) => roles.start(name)))
  const { GATEWAY_URL: gatewayUrl = '', AUTHOR_TOKEN: token = '' } = roles.env
  const result = await fuzz({ gatewayUrl, token }, { seed, requests, withinMs: LONGEST_MS })
  const deaths = started.filter((role) => role.hasExited()).map(({ name }) => name)
  const lines = reportLines(result, seed, deaths)
  if (requests >= REQUESTS) keep('fuzz', lines)
  else console.log(lines.join('\n'))
  return result.failure === null && deaths.length === 0
}

const reportLines = ({ operations, answers, failure }: FuzzResult, seed: number, deaths: readonly string[]) => {
  const statuses = [...new Set([...answers.values()].flatMap((of) => [...of.keys()]))].sort()
  const total = [...answers.values()].flatMap((of) => [...of.values()]).reduce((sum, count) => sum + count, 0)
  const rows = [...answers].sort().map(([operation, of]) => {
    const counts = statuses.map((status) => of.get(status) ?? '')
    return `| ${operation} | ${counts.join(' | ')} |`
  })
  return [
    `${total} requests made from the OpenAPI document (${operations} operations, seed ${seed}), valid and not, as one author.`,
    '',
    `| operation | ${statuses.join(' | ')} |`,
    `|---|${statuses.map(() => '---|').join('')}`,
    ...rows,
    '',
    failure === null ? 'No answer was 5xx.' : `Answered 5xx: ${failure}`,
    ...(deaths.length === 0 ? [] : [`Processes that ended by themselves: ${deaths.join(', ')}`]),
  ]
}

await onDemand(run)
