import { BadInputError, UpstreamError } from '../../../platform/errors.ts'
import type { AnyExecutors, EffectRun } from '../../run/executors.ts'
import type { Journal } from './journal.ts'
import { checksum, findingOf, type Job, type Piece, type Temper } from './packing.ts'
import type { Random } from './random.ts'
import type { SimulatedProcess } from './simulated-process.ts'

/**
 * The effects of one simulated process. What they find out is a function of the job, so it does not matter who finds it
 * out, nor how often; how they go about it is the job's temper.
 */
export interface PackingTools {
  readonly process: SimulatedProcess
  readonly journal: Journal
  readonly random: Random
  /** Kills the process. */
  readonly crash: (where: string) => void
}

export const KILLED_BY = 'killed by'
export const ILL = 'PACKER_ILL'
export const UNKNOWN_ADDRESS = 'ADDRESS_UNKNOWN'

/** Runs that end in an error before a flaky job succeeds: fewer than its policy allows. */
const flakyFailures = (job: string): number => 1 + (checksum('flaky', job).charCodeAt(0) % 2)

export const packingExecutors = ({ process, journal, random, crash }: PackingTools): AnyExecutors => {
  const workMs = (temper: string): number => (temper === 'slow' ? random.between(200, 1_500) : random.between(2, 60))

  const pack = async ({ job, pieces, temper }: Job, run: EffectRun<Piece>): Promise<Piece> => {
    const known = new Map(run.read<Piece>('piece', `${job}/`))
    for (let n = 1; n <= run.resumeFrom; n++) {
      if (known.get(`${job}/${n}`)?.value !== findingOf(job, n)) journal.contradicts(job, `piece ${n} cannot be read`)
    }
    return await inPieces({ job, pieces, temper }, run)
  }

  const inPieces = async ({ job, pieces, temper }: Job, run: EffectRun<Piece>): Promise<Piece> => {
    await process.sleep(workMs(temper))
    misbehave(job, temper as Temper, run)
    for (let n = run.resumeFrom + 1; n <= pieces; n++) {
      await process.sleep(workMs(temper))
      if (temper !== 'deaf') run.signal.throwIfAborted()
      await run.report(n, { value: findingOf(job, n) })
      journal.reported(job)
    }
    return { value: findingOf(job, 'receipt') }
  }

  const misbehave = (job: string, temper: Temper, { attempt }: EffectRun<Piece>): void => {
    if (temper === 'killer') crash(`${KILLED_BY} ${job}`)
    if (temper === 'refused') throw new BadInputError(UNKNOWN_ADDRESS, 'nobody lives there')
    if (temper === 'hopeless' || (temper === 'flaky' && attempt <= flakyFailures(job))) {
      throw new UpstreamError(ILL, 'the packer is ill')
    }
  }

  const atOnce = async ({ job }: Job, run: EffectRun<Piece>): Promise<Piece> => {
    await process.sleep(workMs('fine'))
    run.signal.throwIfAborted()
    return { value: findingOf(job, 'receipt') }
  }

  const journaled =
    (effect: string, work: (job: Job, run: EffectRun<Piece>) => Promise<Piece>) =>
    async (job: Job, run: EffectRun<Piece>) => {
      const end = journal.began({ effect, job: job.job, run, process })
      try {
        return await work(job, run)
      } finally {
        end()
      }
    }

  return {
    pack: journaled('pack', pack),
    refund: journaled('refund', atOnce),
    bill: journaled('bill', inPieces),
    part: journaled('part', atOnce),
    thank: journaled('thank', atOnce),
  }
}
