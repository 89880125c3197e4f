/**
 * What `reelstream lanes set` has to do next, decided from what is: asked again after each step, so it is a function of
 * the situation alone, and a change that was interrupted goes on where it stands.
 *
 * Lanes are the partitions of transcode-jobs, and partitions cannot be taken away, nor added without moving keys. So the
 * topic is made anew, together with the changelog of the worker, which is cut alike. Both hold no history once nothing
 * runs: jobs live with the scheduler until a lane has one, and what was made of them is a fact of the video. Until then
 * they hold what runs; that is what is waited for.
 */
export interface LaneSituation {
  /** Partitions of transcode-jobs and of the worker's changelog; 0 = the topic is not there. */
  readonly jobPartitions: number
  readonly changelogPartitions: number
  /** Jobs that a lane has been given and that are not settled. */
  readonly running: number
  /** Effects that workers have journaled; they outlive the cancellation of their job by a moment. */
  readonly pendingEffects: number
  /** Keys of the worker's that wait behind a failure: what they hold would be lost. */
  readonly blockedKeys: number
  /** Processes that are members of the worker's group. */
  readonly workers: number
  /** First positions that are missing, and lanes that somebody holds and that are no more: left by a change that was cut off. */
  readonly unsettled: number
}

export type LaneStep =
  | { readonly step: 'done' }
  | { readonly step: 'refuse'; readonly code: LaneRefusal; readonly why: string }
  | { readonly step: 'drain'; readonly what: string }
  | { readonly step: 'stop-workers'; readonly what: string }
  | { readonly step: 'recreate' }
  | { readonly step: 'settle' }

export type LaneRefusal = 'LANES_BUSY' | 'LANES_BLOCKED' | 'PROCESSOR_RUNNING'

export const nextLaneStep = (
  wanted: number,
  situation: LaneSituation,
  { wait }: { readonly wait: boolean },
): LaneStep => {
  const { jobPartitions, changelogPartitions, running, pendingEffects, blockedKeys, workers, unsettled } = situation
  if (jobPartitions === wanted && changelogPartitions === wanted) return { step: unsettled > 0 ? 'settle' : 'done' }
  if (blockedKeys > 0) {
    const why = `${count(blockedKeys, 'key')} of transcode-source are blocked: see \`reelstream blocked list transcode-source\``
    return { step: 'refuse', code: 'LANES_BLOCKED', why }
  }
  const busy = Math.max(running, pendingEffects)
  if (busy > 0) {
    const what = `${count(busy, 'job')} still running`
    return wait
      ? { step: 'drain', what }
      : { step: 'refuse', code: 'LANES_BUSY', why: `${what}: --wait waits for them` }
  }
  if (workers > 0) {
    const what = `${count(workers, 'worker process', 'worker processes')} still there`
    if (wait) return { step: 'stop-workers', what }
    return { step: 'refuse', code: 'PROCESSOR_RUNNING', why: `${what}: stop them first, or --wait until they are` }
  }
  return { step: 'recreate' }
}

const count = (n: number, one: string, many = `${one}s`): string => `${n} ${n === 1 ? one : many}`
