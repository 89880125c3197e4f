import { setTimeout as sleep } from 'node:timers/promises'
import { BugError } from '../../platform/errors.ts'

/** Asks until the answer is yes. Throws after `patienceMs` with what was waited for. */
export const waitUntil = async (
  what: string,
  isTrue: () => boolean | Promise<boolean>,
  patienceMs = 20_000,
): Promise<void> => {
  const deadline = Date.now() + patienceMs
  while (!(await isTrue())) {
    if (Date.now() > deadline) throw new BugError('NEVER_HAPPENED', `waited ${patienceMs} ms until ${what}`)
    await sleep(20)
  }
}
