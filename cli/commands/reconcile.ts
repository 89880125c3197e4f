import { type Command, InvalidArgumentError } from 'commander'
import { spanOf } from '../../ingest/reconciler/decide.ts'
import { type Found, type Progress, type ReconcileReport, reconcile } from '../../ingest/reconciler/reconcile.ts'
import { reconcilerSettings, reconcilerWorld } from '../../ingest/reconciler/world.ts'
import { systemClock } from '../../platform/clock.ts'
import { type Config, requireSettings } from '../../platform/config.ts'
import { createLogger } from '../../platform/log.ts'
import { createDatabase } from '../../prisma/client.ts'
import { createS3Client, s3SettingsOf } from '../../storage/s3-client.ts'
import { EXIT } from '../exit.ts'
import { stopSignal } from '../interruptible.ts'
import { localSettings } from '../local-settings.ts'
import { withOperator } from '../operator-session.ts'
import { jsonLine } from '../table.ts'

/**
 * `reelstream reconcile`: compares S3 with the log now, instead of when a gateway's turn comes, and mends what differs.
 * May run beside the gateways, and be ended by Ctrl-C between two actions. Exit code 1: something could not be mended, or
 * not be looked at.
 */
interface ReconcileFlags {
  readonly dryRun?: boolean
  readonly json?: boolean
  readonly all?: boolean
  readonly graceMinutes?: number
}

export const registerReconcile = (program: Command, config: Config): void => {
  program
    .command('reconcile')
    .description('abort orphaned multipart uploads, report stored parts, delete objects of what is over or superseded')
    .option(
      '--dry-run',
      'show exactly what would be done, and do nothing (S3 is asked for its time by a multipart below reconcile/)',
    )
    .option(
      '--grace-minutes <n>',
      'touch nothing younger; below 30 it may hit what just begins (default: RECONCILE_GRACE_MINUTES)',
      minutes,
    )
    .option('--all', 'show what is left as it is, too, and why')
    .option('--json', 'one JSON object per line; the last one is the sum')
    .action(async (flags: ReconcileFlags) => {
      process.exitCode = await run(await localSettings(config), flags)
    })
}

const run = async (config: Config, flags: ReconcileFlags): Promise<number> => {
  requireSettings(config, ['databaseUrl', 's3Endpoint'])
  const database = createDatabase({
    url: config.databaseUrl,
    maxConnections: 2,
    log: createLogger('reconcile', 'error'),
  })
  const s3 = createS3Client(s3SettingsOf(config, 'cli'))
  const signal = stopSignal()
  const output = flags.json === true ? jsonOutput(flags) : textOutput(flags)
  let report: ReconcileReport | undefined
  try {
    await withOperator(config, async ({ session, producer }) => {
      const world = reconcilerWorld(config, { ...session, producer, database, s3, clock: systemClock })
      const { graceMs, retentionMs } = reconcilerSettings(config)
      report = await reconcile(world, {
        graceMs: flags.graceMinutes === undefined ? graceMs : flags.graceMinutes * 60_000,
        retentionMs,
        // Whoever asks for it has time for all of them.
        playlistsForMs: Number.POSITIVE_INFINITY,
        dryRun: flags.dryRun === true,
        signal,
        onFound: output.found,
        onProgress: output.progress,
      })
    })
  } finally {
    output.clear()
    s3.destroy()
    await database.$disconnect()
  }
  if (report === undefined) return EXIT.unexpected
  output.sum(report)
  if (signal.aborted) return EXIT.interrupted
  return report.failed === 0 ? EXIT.ok : EXIT.unexpected
}

interface Output {
  found(found: Found): void
  progress(progress: Progress): void
  /** Takes the progress line away. */
  clear(): void
  sum(report: ReconcileReport): void
}

const jsonOutput = ({ all }: ReconcileFlags): Output => ({
  found: (found) => {
    if (all === true || found.outcome !== 'left') console.log(jsonLine(found))
  },
  progress: () => undefined,
  clear: () => undefined,
  sum: (report) => console.log(jsonLine(report)),
})

const textOutput = ({ all }: ReconcileFlags): Output => {
  const { isTTY } = process.stderr
  const clear = () => isTTY && process.stderr.write('\r\u001b[K')
  return {
    found: (found) => {
      if (found.outcome === 'left' && all !== true) return
      clear()
      console.log(lineOf(found))
    },
    progress: ({ stage, seen }) => isTTY && process.stderr.write(`\r\u001b[KLooking at ${stage}: ${seen}`),
    clear,
    sum: ({ multiparts, uploads, videos, done, planned, left, failed, complete }) => {
      console.log(
        `Looked at ${multiparts} multipart uploads, ${uploads} open uploads and the objects of ${videos} videos.`,
      )
      const counts = [
        `${done} done`,
        ...(planned > 0 ? [`${planned} would be done`] : []),
        `${left} left as they are`,
        `${failed} failed`,
      ]
      console.log(`${counts.join(', ')}${complete ? '' : ', not everything was looked at'}.`)
    },
  }
}

const lineOf = ({ finding, outcome, error }: Found): string =>
  `${outcome.padEnd(7)}  ${describe(finding)}: ${finding.why}${error === null ? '' : ` (${error})`}`

const describe = (finding: Found['finding']): string => {
  switch (finding.kind) {
    case 'abort-multipart':
      return `abort ${finding.key} ${finding.s3UploadId}`
    case 'report-part':
      return `report part ${finding.part.partNumber} of ${finding.upload.objectKey}`
    case 'delete-objects':
      return `delete ${finding.prefix}`
    case 'delete-playlists':
      return `delete ${spanOf(finding.keys)}`
    case 'left':
      return finding.what
    case 'unseen':
      return `look at ${finding.what}`
  }
}

const minutes = (text: string): number => {
  const value = Number(text)
  if (Number.isInteger(value) && value >= 0) return value
  throw new InvalidArgumentError('expected whole minutes.')
}
