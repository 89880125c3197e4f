import { readConfig } from '../platform/config.ts'
import { describeError } from '../platform/errors.ts'

/** What a long run has opened is closed at its end, the last first, as in a test. */
export interface Teardowns {
  teardown(end: () => Promise<void>): void
}

/** A long run as a program. Exit code 1: it resolved to false, for it has found something, or it could not be made. */
export const onDemand = async (run: (t: Teardowns) => Promise<boolean>): Promise<void> => {
  const ends: (() => Promise<void>)[] = []
  try {
    readConfig()
    const isSound = await run({ teardown: (end) => void ends.unshift(end) })
    process.exitCode = isSound ? 0 : 1
  } catch (error) {
    process.stderr.write(`${describeError(error)}\n`)
    process.exitCode = 1
  } finally {
    for (const end of ends) await end()
  }
}
