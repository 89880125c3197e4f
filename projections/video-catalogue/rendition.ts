import type { RecordedVideoEvent } from './video.ts'

/** Columns of `Rendition` in prisma/schema.prisma. */
export interface RenditionRow {
  readonly videoId: string
  readonly generation: number
  readonly track: string
  readonly name: string
  readonly width: number | null
  readonly height: number | null
  readonly codecs: string
  readonly frameRate: number | null
  readonly peakBandwidthBps: number
  readonly averageBandwidthBps: number
  readonly segmentCount: number
  readonly durationMs: number
  readonly sizeBytes: number
  readonly version: number
}

/** First wins per generation, track and rendition: what was measured does not change. */
export const evolveRendition = (
  rendition: RenditionRow | undefined,
  event: RecordedVideoEvent,
): RenditionRow | undefined => {
  if (rendition !== undefined || event.type !== 'RenditionTranscoded') return rendition
  const { rendition: name, ...measured } = event.data
  return { ...measured, videoId: event.key, name, version: event.offset }
}
