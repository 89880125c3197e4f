import { asUploadError } from './errors.ts'
import type { Parallelism } from './parallelism.ts'
import type { PartReader } from './part-reader.ts'
import { createPartReports, type PartReports } from './part-reports.ts'
import type { PauseGate } from './pause-gate.ts'
import type { ProgressMeter } from './progress.ts'
import { Retryable, retrying } from './retry.ts'
import { isSamePart, type PartFacts, type PartSender, type PreparedPart, type StoredPart } from './send-part.ts'
import { type Worker, withWorkers } from './workers.ts'

/** What sending parts stands on. */
export interface Transfer {
  readonly sender: PartSender
  readonly parallelism: Parallelism
  readonly meter: ProgressMeter
  readonly gate: PauseGate
  /** Passes before the last report; null = nothing to check. */
  readonly check: (() => Promise<void>) | null
}

/**
 * Sends and reports every part that the reader gives, several at a time, apart from those that are recorded with the
 * bytes that they have here.
 * @throws UploadError, when the first part fails for good, or the check
 */
export const sendParts = (
  transfer: Transfer,
  reader: PartReader,
  recorded: ReadonlyMap<number, PartFacts>,
): Promise<void> => {
  const { parallelism, gate, sender, check } = transfer
  const reports = createPartReports(sender.report, check)
  const isRecorded = (part: PartFacts): boolean => isSamePart(part, recorded.get(part.partNumber))
  let reading = 0
  let hasEnded = false
  const nextPart = async (): Promise<PreparedPart | undefined> => {
    await gate.pass()
    reading += 1
    const part = await reader.next()
    reading -= 1
    if (part === undefined) hasEnded = true
    else if (!isRecorded(part)) reports.begun()
    // Several read side by side: whoever finds the end may be faster than who reads the last part.
    if (hasEnded && reading === 0) reports.ended()
    return part
  }
  return withWorkers(
    () => parallelism.limit,
    () => createWorker(transfer, nextPart, isRecorded, reports),
  )
}

/**
 * Takes the next part when it is done with one, so a slow connection holds up nobody else. While a part is reported the
 * next one is read, hashed and signed, but not sent: whatever dies, no connection has more than one part to send again.
 */
const createWorker = (
  transfer: Transfer,
  next: () => Promise<PreparedPart | undefined>,
  isRecorded: (part: PartFacts) => boolean,
  reports: PartReports,
): Worker => {
  let reported: Promise<void> = Promise.resolve()
  return {
    step: async () => {
      const part = await next()
      if (part === undefined) return false
      if (isRecorded(part)) transfer.meter.partFound(part.sizeBytes)
      else {
        reported = reports.stored(await put(transfer, part, reported))
        // Looked at before the next part is sent; until then it must not count as unhandled.
        reported.catch(() => undefined)
      }
      return true
    },
    finish: () => reported,
  }
}

const put = async (transfer: Transfer, part: PreparedPart, before: Promise<void>): Promise<StoredPart> => {
  const { sender, meter, gate, parallelism } = transfer
  const { partNumber, sizeBytes } = part
  const onSent = (sentBytes: number): void => meter.partSent(partNumber, sentBytes)
  for (;;) {
    await gate.pass()
    const running = gate.signal
    const tryOnce = () =>
      sender.put(part, before, running, onSent).catch((error: unknown) => {
        if (saysTooMuch(error)) parallelism.failed()
        throw error
      })
    try {
      const stored = await retrying(tryOnce, running, sender.outage)
      meter.partStored(partNumber, sizeBytes)
      parallelism.arrived(sizeBytes)
      return stored
    } catch (error) {
      onSent(0)
      if (!running.aborted) throw error
    }
  }
}

/** Whether a failure tells of a line or a server that has too much to do: no answer, or one of those. */
const saysTooMuch = (error: unknown): boolean => {
  if (!(error instanceof Retryable)) return false
  const { status } = asUploadError(error.reason)
  return status === null || status === 429 || status >= 500
}
