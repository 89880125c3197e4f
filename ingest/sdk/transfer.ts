import { asUploadError } from './errors.ts'
import type { Parallelism } from './parallelism.ts'
import type { PartReader } from './part-reader.ts'
import { createPartReports, type PartReports } from './part-reports.ts'
import type { PauseGate } from './pause-gate.ts'
import type { ProgressMeter } from './progress.ts'
import { pause, Retryable, retrying } from './retry.ts'
import {
  isSamePart,
  type PartFacts,
  type PartSender,
  type PreparedPart,
  type SignedPart,
  type StoredPart,
} from './send-part.ts'
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
 * bytes that they have here: by now, or when they have their turn, for others may send parts of the same upload. What
 * somebody else may be sending at the moment has its turn at the end, so that two do not send the same side by side.
 * @throws UploadError, when the first part fails for good, or the check
 */
export const sendParts = async (
  transfer: Transfer,
  reader: PartReader,
  recorded: ReadonlyMap<number, PartFacts>,
): Promise<void> => {
  const { parallelism, gate, sender, check } = transfer
  const reports = createPartReports(sender.report, check)
  /** Parts that are being read or signed: whether they will be sent is not known yet. */
  let undecided = 0
  let hasEnded = false
  const decided = (): void => {
    undecided -= 1
    // Several are read side by side: whoever finds the end may be faster than who reads the last part.
    if (hasEnded && undecided === 0) reports.ended()
  }
  const turns: Turns = {
    next: async () => {
      await gate.pass()
      undecided += 1
      const part = await reader.next()
      if (part === undefined) hasEnded = true
      if (part !== undefined && !isSamePart(part, recorded.get(part.partNumber))) return { part, isRecorded: false }
      decided()
      return part === undefined ? undefined : { part, isRecorded: true }
    },
    begun: () => {
      reports.begun()
      decided()
    },
    passed: decided,
    later: reader.later,
    release: reader.release,
    takenForMs: MIN_TAKEN_MS,
  }
  await withWorkers(
    () => parallelism.limit,
    () => createWorker(transfer, turns, reports),
  )
  await reports.finished()
}

/** Which part is next, and what becomes of it, said once. */
interface Turns {
  next(): Promise<{ readonly part: PreparedPart; readonly isRecorded: boolean } | undefined>
  /** It is going to be sent. */
  begun(): void
  /** It is not, or not now. */
  passed(): void
  later(partNumber: number): boolean
  /** Nobody looks at its bytes again. */
  release(part: PreparedPart): void
  /** For how long somebody else who had a part signed is believed to be sending it: twice what the slowest took here. */
  takenForMs: number
}

/** A part that is signed leaves, arrives and is reported; whoever took it and did none of this has died. */
const MIN_TAKEN_MS = 1_000
const ASK_AGAIN_MS = 500

/**
 * Takes the next part when it is done with one, so a slow connection holds up nobody else. While a part is reported the
 * next one is read, hashed and signed, but not sent: whatever dies, no connection has more than one part to send again.
 */
const createWorker = (transfer: Transfer, turns: Turns, reports: PartReports): Worker => {
  const { meter, sender } = transfer
  let reported: Promise<void> = Promise.resolve()

  const send = async (part: PreparedPart): Promise<void> => {
    let isBegun = false
    const begin = (): void => {
      if (!isBegun) turns.begun()
      isBegun = true
    }
    let isOurs = false
    const sign = async (signal: AbortSignal): Promise<SignedPart | null> => {
      for (;;) {
        const signed = await sender.sign(part, isOurs ? 0 : turns.takenForMs)
        if (signed.state === 'recorded') {
          meter.partFound(part.sizeBytes)
          return null
        }
        if (signed.state !== 'taken') {
          isOurs = true
          begin()
          await reported
          return signed
        }
        if (!isBegun && turns.later(part.partNumber)) return null
        // Or whoever sends it could wait for our report, as we do for theirs.
        begin()
        await pause(ASK_AGAIN_MS, signal)
      }
    }
    const stored = await put(transfer, turns, part, sign)
    if (stored !== null) {
      reported = reports.stored(stored)
      // Looked at before the next part is sent; until then it must not count as unhandled.
      reported.catch(() => undefined)
    } else if (isBegun) reports.dropped()
    else turns.passed()
  }

  return {
    step: async () => {
      const turn = await turns.next()
      if (turn === undefined) return false
      if (turn.isRecorded) meter.partFound(turn.part.sizeBytes)
      else await send(turn.part)
      turns.release(turn.part)
      return true
    },
    finish: () => reported,
  }
}

/** Null when somebody else has sent it, or may be sending it. */
const put = async (
  { sender, meter, gate, parallelism }: Transfer,
  turns: Turns,
  part: PreparedPart,
  sign: (signal: AbortSignal) => Promise<SignedPart | null>,
): Promise<StoredPart | null> => {
  const { partNumber, sizeBytes } = part
  const onSent = (sentBytes: number): void => meter.partSent(partNumber, sentBytes)
  const tryOnce = async (signal: AbortSignal): Promise<StoredPart | null> => {
    const signed = await sign(signal)
    if (signed === null) return null
    const beganAtMs = performance.now()
    const stored = await sender.put(part, signed, signal, onSent)
    turns.takenForMs = Math.max(turns.takenForMs, Math.round(2 * (performance.now() - beganAtMs)))
    return stored
  }
  for (;;) {
    await gate.pass()
    const running = gate.signal
    const tried = () =>
      tryOnce(running).catch((error: unknown) => {
        if (saysTooMuch(error)) parallelism.failed()
        throw error
      })
    try {
      const stored = await retrying(tried, running, sender.outage)
      if (stored === null) {
        onSent(0)
        return null
      }
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
