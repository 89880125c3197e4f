import path from 'node:path'
import { runUntilStopped } from '../../local/run.ts'
import { readConfig } from '../../platform/config.ts'

/** Runs the supervisor of `npm start` with roles that do nothing: `node stub-product.ts FOLDER [file]`. */
const [folder = '', file] = process.argv.slice(2)
const config = readConfig()
const role = (name: string, portSetting: string, port: number) => ({
  name,
  title: name,
  entry: path.join(folder, `${name}.mjs`),
  portSetting,
  port,
})

process.exitCode = await runUntilStopped({
  config,
  programs: {
    roles: [role('workers', 'WORKERS_PORT', config.workersPort), role('front', 'WEB_PORT', config.webPort)],
    migrate: path.join(folder, 'migrate.mjs'),
    cli: path.join(folder, 'cli.mjs'),
  },
  sample: false,
  help: false,
  ...(file !== undefined && { file }),
})
