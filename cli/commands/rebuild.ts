/**
 * `reelstream rebuild <projection>`: fold the log into a second copy of a read model, prove it equal, swap.
 * `reelstream rebuild rollback <projection>`: back to the copy before the last swap, which has been fed all along.
 */
import { SingleBar } from 'cli-progress'
import type { Command } from 'commander'
import { type Config, requireSettings } from '../../platform/config.ts'
import { BadInputError } from '../../platform/errors.ts'
import { createLogger } from '../../platform/log.ts'
import type { Projection } from '../../projections/engine/projection.ts'
import type { RebuildProgress, Verification } from '../../projections/engine/rebuild.ts'
import { rollBack } from '../../projections/engine/versions.ts'
import { projections } from '../../projections/index.ts'
import { rebuildProjection, withConnection } from '../../projections/rebuild-projection.ts'
import { confirm } from '../confirm.ts'
import { localSettings } from '../local-settings.ts'

interface RebuildFlags {
  readonly verify?: boolean
  readonly yes?: boolean
}

export const registerRebuild = (program: Command, config: Config): void => {
  const command = program
    .command('rebuild')
    .description(`fold the log into a new copy of a read model (${projections.map(({ name }) => name).join(', ')})`)
  command
    .command('start <projection>', { isDefault: true })
    .description('build the copy beside the live one and swap to it')
    .option('--verify', 'compare the copy with the live one, and swap only if they are equal')
    .option('--yes', 'swap without asking')
    .action(async (name: string, flags: RebuildFlags) =>
      runRebuild(await localSettings(config), projectionNamed(name), flags),
    )
  command
    .command('rollback <projection>')
    .description('make the copy before the last swap the live one again')
    .action(async (name: string) => runRollback(await localSettings(config), projectionNamed(name)))
}

const projectionNamed = (name: string): Projection => {
  const found = projections.find((projection) => projection.name === name)
  if (found !== undefined) return found
  const known = projections.map((projection) => projection.name).join(', ')
  throw new BadInputError('UNKNOWN_PROJECTION', `There is no projection "${name}". There are: ${known}.`)
}

const runRebuild = async (config: Config, projection: Projection, flags: RebuildFlags): Promise<void> => {
  requireSettings(config, ['databaseUrl', 'kafkaBrokers', 'schemaRegistryUrl'])
  const stop = new AbortController()
  const onInterrupt = () => stop.abort(new BadInputError('INTERRUPTED', 'Interrupted; the live version is untouched.'))
  process.once('SIGINT', onInterrupt)
  const bar = progressBar()
  try {
    const { version, events, swapped } = await rebuildProjection(config, projection, {
      clientId: `${config.appId}.rebuild`,
      log: createLogger('rebuild', 'warn'),
      verify: flags.verify === true,
      signal: stop.signal,
      onProgress: bar.update,
      async confirm(verification) {
        bar.stop()
        if (verification !== undefined) report(verification)
        if (verification?.equal === false && flags.yes) return false
        return flags.yes === true || confirm(`Serve ${projection.name} from the new copy?`)
      },
    })
    bar.stop()
    console.log(`${events} events folded.`)
    if (!swapped) {
      console.log(`${projection.name} stays as it was; the copy was dropped.`)
      process.exitCode = 1
      return
    }
    console.log(
      `${projection.name} is served from version ${version}. Back: reelstream rebuild rollback ${projection.name}`,
    )
  } finally {
    bar.stop()
    process.off('SIGINT', onInterrupt)
  }
}

const runRollback = async (config: Config, projection: Projection): Promise<void> => {
  requireSettings(config, ['databaseUrl'])
  const version = await withConnection(config.databaseUrl, (client) => rollBack(client, projection))
  console.log(`${projection.name} is served from version ${version} again.`)
}

const report = ({ equal, tables, differences }: Verification): void => {
  for (const { table, live, rebuilt, equal: same } of tables) {
    console.log(`${same ? 'equal    ' : 'DIFFERENT'} ${table}: ${live.rows} rows ${live.hash}`)
    if (!same) console.log(`          rebuilt: ${rebuilt.rows} rows ${rebuilt.hash}`)
  }
  for (const { table, key, live, rebuilt } of differences) {
    console.log(`${table} ${key}\n  live:    ${live ?? '(no row)'}\n  rebuilt: ${rebuilt ?? '(no row)'}`)
  }
  console.log(equal ? 'The copy equals the live version.' : 'The copy differs from the live version.')
}

const progressBar = () => {
  const format = 'Folding {bar} {percentage}% | {events} events | {rate} events/s'
  const bar = new SingleBar({ format, hideCursor: true, clearOnComplete: false, noTTYOutput: false })
  const beganMs = performance.now()
  let running = false
  return {
    update({ done, total, events }: RebuildProgress) {
      const rate = Math.round(events / Math.max(0.001, (performance.now() - beganMs) / 1000))
      if (!running) bar.start(Math.max(1, total), done, { events, rate })
      running = true
      bar.setTotal(Math.max(1, total))
      bar.update(done, { events, rate })
    },
    stop() {
      if (running) bar.stop()
      running = false
    },
  }
}
