import type { ColourPlan, VideoStream } from './types.ts'

/**
 * How a source's colours become BT.709, limited range, 4:2:0: what every player and screen takes.
 *
 * The cheapest correct way wins: nothing at all for BT.709; the scaler's own matrix for standard-definition (BT.601)
 * and full-range sources; linear light through zimg only where primaries differ visibly (BT.2020, P3) or the source is
 * HDR. The primaries of PAL and NTSC are near enough to BT.709's to leave alone. Untagged sources follow the custom of
 * players: standard definition means BT.601, everything larger BT.709.
 */
export const planColour = (video: VideoStream): ColourPlan => {
  const { primaries, transfer, space, range } = video.colour
  const fullRange = range === 'pc' || video.pixelFormat.startsWith('yuvj')
  const flattenAlpha = hasAlpha(video.pixelFormat)
  const common = { fullRange, flattenAlpha }
  const hdr = transfer !== null && HDR_TRANSFERS.includes(transfer)
  if (hdr || (primaries !== null && WIDE_PRIMARIES.includes(primaries))) {
    return {
      mode: hdr ? 'tonemap' : 'gamut',
      inputMatrix: null,
      inputPrimaries: primaries ?? 'bt2020',
      inputTransfer: transfer ?? 'bt709',
      inputSpace: space ?? (isRgb(video.pixelFormat) ? 'gbr' : 'bt2020nc'),
      ...common,
    }
  }
  const none = { inputPrimaries: null, inputTransfer: null, inputSpace: null, ...common }
  if (isRgb(video.pixelFormat) || flattenAlpha) return { mode: 'matrix', inputMatrix: null, ...none }
  const inputMatrix = scalerMatrix(space, video)
  if (inputMatrix === 'bt709' && !fullRange) return { mode: 'keep', inputMatrix: null, ...none }
  return { mode: 'matrix', inputMatrix, ...none }
}

const HDR_TRANSFERS = ['smpte2084', 'arib-std-b67']
const WIDE_PRIMARIES = ['bt2020', 'smpte431', 'smpte432']

/** Names of the scale filter's in_color_matrix by the names ffprobe prints. */
const SCALER_MATRIX: Readonly<Record<string, string>> = {
  bt709: 'bt709',
  smpte170m: 'smpte170m',
  bt470bg: 'bt470bg',
  fcc: 'fcc',
  smpte240m: 'smpte240m',
  bt2020nc: 'bt2020',
  bt2020c: 'bt2020',
}

/** The largest pictures that broadcast standards call standard definition (PAL, with wide pixels resolved). */
const SD_WIDTH = 1024
const SD_HEIGHT = 576

const scalerMatrix = (space: string | null, { width, height }: VideoStream): string => {
  const known = space === null ? undefined : SCALER_MATRIX[space]
  return known ?? (width <= SD_WIDTH && height <= SD_HEIGHT ? 'bt601' : 'bt709')
}

const isRgb = (pixelFormat: string): boolean => /^(gbr|rgb|bgr|argb|abgr|0rgb|0bgr|pal8)/.test(pixelFormat)

const hasAlpha = (pixelFormat: string): boolean => /^(yuva|gbrap|rgba|bgra|argb|abgr|ya8|ya16|pal8)/.test(pixelFormat)
