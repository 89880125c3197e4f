import type { Ladder, LadderRendition } from './ladder.ts'
import type { RenditionPlan, VideoStream } from './types.ts'

/**
 * Which rungs of the ladder a picture gets, and how large each is.
 *
 * The picture is taken as it is shown: turned upright, with square pixels. It is fitted inside each box (a portrait
 * picture turns the boxes too), with even sides because 4:2:0 halves them. A rung larger than the picture would only
 * invent pixels, so the first such rung is made at the picture's own size and larger ones are dropped; and not even that
 * one when the rung below has nearly as many pixels. At least one rendition always remains.
 */
export const fitRenditions = (video: VideoStream, ladder: Ladder): readonly RenditionPlan[] => {
  const shown = shownSize(video)
  const smallestFirst = ladder.renditions.toReversed()
  const ownSizeAt = smallestFirst.findIndex((rung) => scaleInto(shown, rung) > 1)
  const fitting = ownSizeAt === -1 ? smallestFirst : smallestFirst.slice(0, ownSizeAt + 1)
  const plans = fitting.map((rung) => ({ ...settingsOf(rung), ...fittedSize(shown, rung) }))
  const [largest, next] = plans.toReversed()
  const redundant = ownSizeAt !== -1 && largest !== undefined && next !== undefined && !worthARung(largest, next)
  return (redundant ? plans.slice(0, -1) : plans).toReversed()
}

export interface Size {
  readonly width: number
  readonly height: number
}

/** The picture's size as people see it: square pixels, upright. Not rounded; a missing aspect ratio (0) counts as 1:1. */
export const shownSize = (video: Pick<VideoStream, 'width' | 'height' | 'sarNum' | 'sarDen' | 'rotation'>): Size => {
  const sar = video.sarNum > 0 && video.sarDen > 0 ? video.sarNum / video.sarDen : 1
  const width = video.width * sar
  return video.rotation % 180 === 0 ? { width, height: video.height } : { width: video.height, height: width }
}

/** Below this ratio of pixels two renditions look alike and only cost encoding and storage. */
const WORTH_A_RUNG = 1.25

const worthARung = (larger: Size, smaller: Size): boolean =>
  larger.width * larger.height >= WORTH_A_RUNG * smaller.width * smaller.height

const boxFor = (shown: Size, rung: Size): Size =>
  shown.height > shown.width ? { width: rung.height, height: rung.width } : rung

const scaleInto = (shown: Size, rung: Size): number => {
  const box = boxFor(shown, rung)
  return Math.min(box.width / shown.width, box.height / shown.height)
}

const fittedSize = (shown: Size, rung: Size): Size => {
  const box = boxFor(shown, rung)
  const scale = Math.min(1, scaleInto(shown, rung))
  return {
    width: evenSide(shown.width * scale, Math.min(box.width, shown.width)),
    height: evenSide(shown.height * scale, Math.min(box.height, shown.height)),
  }
}

/** The nearest even number within the limit: 853.33 is 854 inside the box, but a source 853 wide gives 852. */
const evenSide = (exact: number, limit: number): number =>
  Math.max(2, 2 * Math.min(Math.round(exact / 2), Math.floor(limit / 2 + ROUNDING_ERROR)))

/** Aspect ratios are divisions: 719.9999999 is 720. */
const ROUNDING_ERROR = 1e-6

const settingsOf = ({ name, crf, maxrateBps, bufsizeBits, preset, profile }: LadderRendition) => ({
  name,
  crf,
  maxrateBps,
  bufsizeBits,
  preset,
  profile,
})
