#!/usr/bin/env node
import { Command, CommanderError } from 'commander'
import { readConfig } from '../platform/config.ts'
import { commandsFor } from './commands/index.ts'
import { EXIT, exitCodeOf, failureText } from './exit.ts'

/**
 * `reelstream`: the command line. One file per command in commands/, each registering itself; this file only reads the
 * settings, runs what was asked for, and turns whatever is thrown into one line and an exit code (exit.ts).
 */
const program = new Command('reelstream')
  .description('Upload to Reelstream, and look after it.')
  .showHelpAfterError('(--help shows what can be asked for)')
  .exitOverride()

// Whoever reads us (`… --json | head`) may stop reading: there is nobody left to tell.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(EXIT.pipeClosed)
})

const config = readConfig()
for (const register of await commandsFor(process.argv.slice(2))) register(program, config)

try {
  await program.parseAsync()
} catch (error) {
  // Commander has said what it has to say by itself; --help is one of its "errors" and exits 0.
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage
  else {
    console.error(failureText(error))
    process.exitCode = exitCodeOf(error)
  }
}
