import path from 'node:path'
import type { Config } from '../platform/config.ts'

/**
 * The processes of the product as `npm start` runs them on one machine, each in its own, so that one can be killed,
 * restarted or looked at without the others; docker-compose.yml has the same four.
 */
export interface Role {
  readonly name: string
  /** for people */
  readonly title: string
  /** the program, absolute */
  readonly entry: string
  /** the setting that says on which port its /readyz answers, and that port */
  readonly portSetting: string
  readonly port: number
  /** Run without any settings it loads all of its modules, says what is missing and ends: see first-run.ts. */
  readonly endsWithoutSettings?: boolean
}

export interface Programs {
  readonly roles: readonly Role[]
  /** topics, schemas, tables and the bucket: run to its end before the roles start */
  readonly migrate: string
  readonly cli: string
  /** what is run once on a fresh checkout, besides the roles: see first-run.ts */
  readonly preparations?: readonly string[]
}

const ROOT = path.resolve(import.meta.dirname, '..')

export const productPrograms = (config: Config): Programs => {
  const role = (name: string, title: string, entry: string, portSetting: string, port: number): Role => ({
    name,
    title,
    entry: path.join(ROOT, entry),
    portSetting,
    port,
    endsWithoutSettings: true,
  })
  return {
    roles: [
      role('processors', 'Processors', 'processors/main.ts', 'PROCESSORS_PORT', config.processorsPort),
      role('workers', 'Transcode workers', 'processors/workers.ts', 'WORKERS_PORT', config.workersPort),
      role('projections', 'Projections', 'projections/main.ts', 'PROJECTIONS_PORT', config.projectionsPort),
      role('front', 'Pages, API and gateway', 'local/front.ts', 'WEB_PORT', config.webPort),
    ],
    migrate: path.join(ROOT, 'scripts', 'migrate.ts'),
    cli: path.join(ROOT, 'cli', 'main.ts'),
    preparations: [path.join(ROOT, 'local', 'load-routes.ts'), path.join(ROOT, 'web', 'build.ts')],
  }
}
