/** What a task is at, in the order in which a good one passes through them. */
export const TASK_STATES = [
  /** Its memory is being restored, for the first time in this process. */
  'starting',
  /** There is nothing to do, and no producer is held. */
  'dormant',
  /** It folds its inputs from the beginning, because its memory is lost or of another version. */
  'replaying',
  /** The replay has more left to do than is done unasked. */
  'held',
  'running',
  /** It waits for the schema of its next record. */
  'waiting',
  /** Its blocked keys have no room for more records. What its effects say is still folded, and others begin. */
  'full',
  /** After an error it waits a little, or is restored again. */
  'reopening',
  /** It has stopped for good, and says why. */
  'failed',
  'closed',
] as const
export type TaskState = (typeof TASK_STATES)[number]
/** Of a task that was taken over and restored. */
export type OpenState = Extract<TaskState, 'waiting' | 'replaying' | 'held' | 'running' | 'full'>
