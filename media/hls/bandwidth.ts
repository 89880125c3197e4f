import type { AudioPlan, RenditionPlan, SegmentRecord } from '../types.ts'

/**
 * Bandwidths as playlists declare them, bits per second, rounded up. Pure.
 *
 * The peak is RFC 8216's (4.1): the largest rate of any run of segments that lasts 0.5 to 1.5 target durations. A short
 * segment alone says little: players buffer across it.
 */
export interface Bandwidth {
  readonly peakBps: number
  readonly averageBps: number
}

/** Measured from what was encoded. A track shorter than half a target duration counts as one run. */
export const measuredBandwidth = (
  segments: readonly SegmentRecord[],
  timescale: number,
  targetDurationSeconds: number,
): Bandwidth => {
  const pieces = segments.map(({ sizeBytes, durationTicks }) => ({ sizeBytes, seconds: durationTicks / timescale }))
  return bandwidthOf(pieces, targetDurationSeconds)
}

/** Of the I-frame playlist: only the bytes of the IDRs are fetched, and each stands for its whole fragment. */
export const iFrameBandwidth = (
  segments: readonly SegmentRecord[],
  timescale: number,
  targetDurationSeconds: number,
): Bandwidth => {
  const pieces = segments.flatMap(({ fragments }) =>
    fragments.map(({ keyframeBytes, durationTicks }) => ({
      sizeBytes: keyframeBytes,
      seconds: durationTicks / timescale,
    })),
  )
  return bandwidthOf(pieces, targetDurationSeconds)
}

/**
 * Declared before anything is measured, never too low: the encoder's cap plus one full rate buffer in the shortest
 * window that counts as a peak, and the boxes around the samples.
 */
export const plannedVideoBandwidth = (rendition: RenditionPlan, targetDurationSeconds: number): Bandwidth => ({
  peakBps: Math.ceil((rendition.maxrateBps + rendition.bufsizeBits / (targetDurationSeconds / 2)) * BOXES),
  averageBps: Math.ceil(rendition.maxrateBps * BOXES),
})

/** AAC at constant bit rate wavers by a few percent. */
export const plannedAudioBandwidth = (audio: AudioPlan): Bandwidth => ({
  peakBps: Math.ceil(audio.bitrateBps * 1.15),
  averageBps: Math.ceil(audio.bitrateBps * 1.05),
})

const BOXES = 1.02

interface Piece {
  readonly sizeBytes: number
  readonly seconds: number
}

const bandwidthOf = (pieces: readonly Piece[], targetDurationSeconds: number): Bandwidth => {
  const averageBps = rateOf(pieces)
  return { peakBps: Math.max(averageBps, peakOf(pieces, targetDurationSeconds)), averageBps }
}

const peakOf = (pieces: readonly Piece[], targetDurationSeconds: number): number => {
  let peak = 0
  for (let start = 0; start < pieces.length; start++) {
    let sizeBytes = 0
    let seconds = 0
    for (let end = start; end < pieces.length; end++) {
      sizeBytes += pieces[end]?.sizeBytes ?? 0
      seconds += pieces[end]?.seconds ?? 0
      if (seconds > 1.5 * targetDurationSeconds) break
      if (seconds >= 0.5 * targetDurationSeconds) peak = Math.max(peak, Math.ceil((sizeBytes * 8) / seconds))
    }
  }
  return peak
}

const rateOf = (pieces: readonly Piece[]): number => {
  const sizeBytes = pieces.reduce((sum, piece) => sum + piece.sizeBytes, 0)
  const seconds = pieces.reduce((sum, piece) => sum + piece.seconds, 0)
  return seconds > 0 ? Math.ceil((sizeBytes * 8) / seconds) : 0
}
