import { BadInputError } from '../platform/errors.ts'

/** What `npm start -- …` was asked for. */
export interface StartArguments {
  /** a video to upload once the product is ready */
  readonly file?: string
  /** start with an empty catalogue left empty */
  readonly sample: boolean
  readonly help: boolean
}

export const START_HELP = `Usage: npm start [-- [--no-sample] [file]]

Runs Reelstream on this machine until Ctrl-C: Kafka, schema registry, S3, PostgreSQL and the product itself.
  file         a video to upload once it is ready
  --no-sample  do not upload the sample video into an empty catalogue
Settings are environment variables, see docs/config.md; data is in .data, logs in .data/logs.`

/** @throws BadInputError BAD_ARGUMENTS */
export const parseStartArguments = (args: readonly string[]): StartArguments => {
  const options = args.filter((arg) => arg.startsWith('-'))
  const files = args.filter((arg) => !arg.startsWith('-'))
  const unknown = options.find((option) => !['--no-sample', '--help', '-h'].includes(option))
  if (unknown !== undefined) throw new BadInputError('BAD_ARGUMENTS', `unknown option ${unknown}\n\n${START_HELP}`)
  const [file, more] = files
  if (more !== undefined) throw new BadInputError('BAD_ARGUMENTS', `expected one file, got ${files.length}`)
  return {
    ...(file !== undefined && { file }),
    sample: !options.includes('--no-sample'),
    help: options.includes('--help') || options.includes('-h'),
  }
}
