/**
 * What a source's packets say that its header does not: the distances between frames, and where the picture ends.
 *
 * Reading every packet means reading the whole file, so that is done only for containers without an index (MPEG-TS and
 * program streams), whose headers know neither. For the others the first packets give the rate and, if the header does
 * not give the duration either, the last seconds give the end. Memory is bounded however long the file is.
 */
export interface PacketSummary {
  /** Presentation times of the first frames, ascending, in the stream's time base. */
  readonly firstPts: readonly number[]
  /** Largest end (pts + duration) seen, in the stream's time base; null if none was. */
  readonly endPts: number | null
  /** Longest pause between two frames that was seen, in the stream's time base. */
  readonly longestGap: number
  /** Only after reading every packet: the duration with clock jumps left out, in the stream's time base. */
  readonly playedTicks: number | null
}

/** One line of ffprobe's `-show_packets` in the form of `PACKET_ENTRIES`; times are null when absent. */
export interface Packet {
  readonly streamIndex: number
  readonly pts: number | null
  readonly dts: number | null
  readonly duration: number | null
}

/** What to ask ffprobe for, and how its compact lines are read. */
export const PACKET_ENTRIES = 'packet=stream_index,pts,dts,duration'

/** Reads `packet|stream_index=0|pts=3|dts=3|duration=41`; null for any other line. */
export const parsePacketLine = (line: string): Packet | null => {
  if (!line.startsWith('packet|')) return null
  const fields = new Map(line.split('|').map((field) => splitOnce(field)))
  const streamIndex = integerOf(fields.get('stream_index'))
  if (streamIndex === null) return null
  return {
    streamIndex,
    pts: integerOf(fields.get('pts')),
    dts: integerOf(fields.get('dts')),
    duration: integerOf(fields.get('duration')),
  }
}

export interface PacketSummariser {
  add(packet: Packet): void
  /** `complete`: every packet of the file was added. `jumpTicks`: longer steps of the clock are jumps, not pauses. */
  summary(complete: boolean, jumpTicks: number): PacketSummary
}

export const summarisePackets = (streamIndex: number): PacketSummariser => {
  const first: number[] = []
  const steps = stepHistogram()
  let endPts: number | null = null
  let lastDts: number | null = null
  return {
    add: (packet) => {
      if (packet.streamIndex !== streamIndex) return
      const time = packet.pts ?? packet.dts
      if (time !== null) {
        if (first.length < HEAD_FRAMES) first.push(time)
        endPts = Math.max(endPts ?? Number.NEGATIVE_INFINITY, time + (packet.duration ?? 0))
      }
      if (packet.dts === null) return
      if (lastDts !== null) steps.add(packet.dts - lastDts)
      lastDts = packet.dts
    },
    summary: (complete, jumpTicks) => {
      const sorted = first.toSorted((a, b) => a - b)
      const cut = complete && first.length < HEAD_FRAMES ? sorted.length : sorted.length - REORDER_FRAMES
      const firstPts = sorted.slice(0, Math.max(2, cut))
      return { firstPts, endPts, longestGap: steps.longest(), playedTicks: complete ? steps.played(jumpTicks) : null }
    },
  }
}

/** Enough for a median and to see jitter. */
const HEAD_FRAMES = 600
/** Packets come in decode order: the last few seen may still have gaps that later packets fill (H.264 allows 16). */
const REORDER_FRAMES = 16
/** Distinct clock steps kept apart; real files have a handful. */
const MAX_DISTINCT_STEPS = 1000

/** Counts clock steps by length, so that sums need no list of them. */
const stepHistogram = () => {
  const counts = new Map<number, number>()
  return {
    add: (step: number): void => {
      const known = counts.get(step)
      if (known !== undefined || counts.size < MAX_DISTINCT_STEPS) counts.set(step, (known ?? 0) + 1)
      else addToNearest(counts, step)
    },
    longest: (): number => Math.max(0, ...counts.keys()),
    /** Σ of all steps, a jump counting as one usual step, plus the last frame's own length. */
    played: (jumpTicks: number): number => {
      const [usual = 0] = [...counts].toSorted((a, b) => b[1] - a[1])[0] ?? []
      let total = usual
      for (const [step, count] of counts) total += count * (step >= 0 && step <= jumpTicks ? step : usual)
      return total
    },
  }
}

const addToNearest = (counts: Map<number, number>, step: number): void => {
  let nearest = step
  let distance = Number.POSITIVE_INFINITY
  for (const known of counts.keys()) {
    if (Math.abs(known - step) < distance) {
      nearest = known
      distance = Math.abs(known - step)
    }
  }
  counts.set(nearest, (counts.get(nearest) ?? 0) + 1)
}

const splitOnce = (field: string): [string, string] => {
  const at = field.indexOf('=')
  return at === -1 ? [field, ''] : [field.slice(0, at), field.slice(at + 1)]
}

const integerOf = (text: string | undefined): number | null =>
  text !== undefined && /^-?\d+$/.test(text) ? Number(text) : null
