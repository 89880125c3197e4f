/** How much a task takes at a time. The simulation draws its own, so that a few events meet them. */
export interface TaskLimits {
  /** Fetching stops above one of these, and goes on below both of `low`. One fetch (1 MiB) may be above. */
  readonly mailbox: { readonly high: MailboxSize; readonly low: MailboxSize }
  /**
   * A batch is committed when it holds so much: outputs and changelog. Under load the next one is full before the broker
   * has answered, and waits: a quarter of this halves the throughput of small records, four times as much adds nothing.
   */
  readonly batchRecords: number
  readonly batchBytes: number
  /** Steps between two looks at the rest of the process. */
  readonly slice: number
  /** The position is committed for its own sake when so many records were passed over. */
  readonly positionAloneAfter: number
}

export interface MailboxSize {
  readonly messages: number
  readonly bytes: number
}

const KiB = 1024

export const TASK_LIMITS: TaskLimits = {
  mailbox: { high: { messages: 1_000, bytes: 2_048 * KiB }, low: { messages: 250, bytes: 512 * KiB } },
  batchRecords: 8_000,
  batchBytes: 900_000,
  slice: 250,
  positionAloneAfter: 1_000,
}
