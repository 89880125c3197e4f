import { readConfig } from '../platform/config.ts'
import { describeError, ReelstreamError } from '../platform/errors.ts'
import { parseStartArguments, START_HELP } from './arguments.ts'
import { productPrograms } from './roles.ts'
import { runUntilStopped } from './run.ts'

/**
 * `npm start [-- file]`: see run.ts. A failure that has a code is a sentence for the person who started this, so it is
 * shown without a stack; anything else is our mistake and shown whole.
 */
try {
  const args = parseStartArguments(process.argv.slice(2))
  if (args.help) console.log(START_HELP)
  else {
    const config = readConfig()
    process.exitCode = await runUntilStopped({ config, programs: productPrograms(config), ...args })
  }
} catch (error) {
  console.error(error instanceof ReelstreamError ? `\n${describeError(error)}` : error)
  process.exitCode = 1
}
