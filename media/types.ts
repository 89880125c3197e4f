/**
 * The vocabulary of media: what a source is, what shall be made of it, what was made.
 *
 * Plain JSON-able data, because these values travel through events: no classes, no bigint, `null` for "not there",
 * never `undefined`. Integers stay below 2^53. Three units of time are used, each where it is exact:
 *   - source time: whole microseconds (`…Us`), what ffprobe reports with six decimals;
 *   - output video time: frame numbers, because a frame of 29.97 Hz has no whole length in any decimal unit;
 *   - ticks of a track's `timescale`, what the fMP4 boxes carry (`frameTicks` ticks are one frame, always whole).
 * Milliseconds (`durationMs`) are for people only.
 */

/** As ffprobe names them ("bt709", "smpte2084", "tv"); null where the source does not say. */
export interface Colour {
  readonly primaries: string | null
  readonly transfer: string | null
  readonly space: string | null
  readonly range: string | null
}

/** The picture stream of a source, as stored (before rotation and before its sample aspect ratio are applied). */
export interface VideoStream {
  /** Absolute stream index in the container. */
  readonly streamIndex: number
  readonly codec: string
  /** Stored samples; at least 1 each. */
  readonly width: number
  readonly height: number
  /** Sample aspect ratio, 1:1 where the source does not say. */
  readonly sarNum: number
  readonly sarDen: number
  /** Clockwise degrees by which players turn the picture: 0, 90, 180 or 270. */
  readonly rotation: number
  /** The source's exact rate when constant, else the nominal rate of its median frame interval. Coded frames, not fields. */
  readonly frameRateNum: number
  readonly frameRateDen: number
  readonly variableFrameRate: boolean
  readonly pixelFormat: string
  readonly colour: Colour
  readonly interlaced: boolean
  /** Coded frames: counted by the container's index or a full scan; null when only the duration is known. */
  readonly frameCount: number | null
  /** First frame, relative to the first timestamp of the file (any stream). */
  readonly startTimeUs: number
  readonly durationUs: number
}

export interface AudioStream {
  readonly streamIndex: number
  readonly codec: string
  readonly channels: number
  readonly sampleRate: number
  /** BCP 47 / ISO 639 tag of the container, "und" if unknown. */
  readonly language: string
  readonly title: string | null
  /** First sample, relative to the first timestamp of the file (any stream). May be negative (encoder delay). */
  readonly startTimeUs: number
  readonly durationUs: number | null
}

/** What probing an accepted source says. */
export interface ProbedSource {
  /** ffprobe's format name, e.g. "mov,mp4,m4a,3gp,3g2,mj2". */
  readonly container: string
  readonly sizeBytes: number
  readonly durationMs: number
  readonly video: VideoStream
  readonly audio: readonly AudioStream[]
  /** Human-readable oddities that did not stop us, e.g. "2 streams were ignored". */
  readonly warnings: readonly string[]
}

/** One rung of the ladder, fitted to a source. Even numbers, square pixels, never larger than the source. */
export interface RenditionPlan {
  /** The ladder entry's name ("720p"); also the folder of its segments. */
  readonly name: string
  readonly width: number
  readonly height: number
  readonly crf: number
  readonly maxrateBps: number
  readonly bufsizeBits: number
  readonly preset: string
  readonly profile: string
}

export interface AudioPlan {
  /** Track name: "audio-0", "audio-1", … (the folder above the rendition folder). */
  readonly track: string
  /** Rendition name: "aac". */
  readonly rendition: string
  readonly streamIndex: number
  readonly bitrateBps: number
  readonly channels: number
  /** Hz; also the track's timescale. */
  readonly sampleRate: number
  /** A segment closes at the first AAC frame at or after this many milliseconds. */
  readonly segmentMs: number
  readonly language: string
  /** NAME of the rendition for players, unique in the plan. */
  readonly name: string
  readonly isDefault: boolean
}

/** What happens to colours before the encoder. All output is BT.709, limited range, 8 bit 4:2:0. */
export interface ColourPlan {
  /**
   * "keep": already BT.709 (or unknown HD) · "matrix": YUV matrix and range conversion by the scaler ·
   * "gamut": other primaries, through linear light · "tonemap": HDR (PQ, HLG) to SDR
   */
  readonly mode: 'keep' | 'matrix' | 'gamut' | 'tonemap'
  /** Input matrix for mode "matrix", a value of the scaler's in_color_matrix ("bt601", "bt2020", …); else null. */
  readonly inputMatrix: string | null
  /** Zimg names of the input for "gamut" and "tonemap"; else null. */
  readonly inputPrimaries: string | null
  readonly inputTransfer: string | null
  readonly inputSpace: string | null
  /** True when the source uses full-range levels. */
  readonly fullRange: boolean
  /** True when the source has an alpha channel, which is laid on black. */
  readonly flattenAlpha: boolean
}

/** Frames [startFrame, endFrame) of the output, the unit of encoding work and of resuming. */
export interface ChunkPlan {
  readonly index: number
  readonly startFrame: number
  readonly endFrame: number
  /** Where reading starts, microseconds from the source's first timestamp; null = at its beginning. */
  readonly seekUs: number | null
}

export interface TranscodePlan {
  readonly durationMs: number
  /** Absolute index of the picture stream in the source. */
  readonly videoStreamIndex: number
  /** Output zero in source time (microseconds from the source's first timestamp), for picture and sound alike. */
  readonly originUs: number
  /** Output rate, at most 60. */
  readonly frameRateNum: number
  readonly frameRateDen: number
  /** Ticks per second of every video track, and the whole number of ticks that one frame lasts. */
  readonly timescale: number
  readonly frameTicks: number
  /** Planned frames of every video rendition. */
  readonly totalFrames: number
  /** False when totalFrames comes from a duration, so that a few frames more or less are no damage. */
  readonly totalFramesExact: boolean
  /** An IDR every gopFrames frames (2 s); one fMP4 fragment each. */
  readonly gopFrames: number
  /** Lengths of the first segments in frames (2 s each, for a quick start); every later one has segmentFrames. */
  readonly firstSegmentFrames: readonly number[]
  /** 6 s in frames. */
  readonly segmentFrames: number
  readonly deinterlace: boolean
  readonly colour: ColourPlan
  /** Largest first; at least one. */
  readonly renditions: readonly RenditionPlan[]
  /** Empty for a silent video; the first is the default. */
  readonly audio: readonly AudioPlan[]
  readonly chunks: readonly ChunkPlan[]
}

/** One moof + mdat pair inside a segment. */
export interface FragmentRecord {
  /** Bytes from the segment's start. */
  readonly offset: number
  /** Bytes from `offset` to the end of its first sample (the IDR): the byte range of an I-frame playlist. */
  readonly keyframeBytes: number
  readonly durationTicks: number
}

/** One finished media segment of one rendition. */
export interface SegmentRecord {
  readonly index: number
  readonly durationTicks: number
  readonly sizeBytes: number
  readonly fragments: readonly FragmentRecord[]
}
