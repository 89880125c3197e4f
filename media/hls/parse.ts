import { parseAttributes } from './attributes.ts'

/**
 * Reads playlists for the checker. It takes any text: what is wrong with it is for check.ts to say, so nothing here
 * throws, and what cannot be read is simply absent. Unknown tags are skipped (RFC 8216, 6.3.1).
 */
export interface ParsedMaster {
  readonly tags: ReadonlySet<string>
  readonly version: number | null
  readonly variants: readonly { readonly uri: string; readonly attributes: ReadonlyMap<string, string> }[]
  readonly iFrames: readonly ReadonlyMap<string, string>[]
  readonly media: readonly ReadonlyMap<string, string>[]
}

export interface ParsedMedia {
  readonly tags: ReadonlySet<string>
  readonly version: number | null
  readonly targetDuration: number | null
  readonly playlistType: string | null
  readonly mapUri: string | null
  /** True if the first segment comes before EXT-X-MAP. */
  readonly mapIsLate: boolean
  readonly segments: readonly ParsedSegment[]
  readonly isIFramesOnly: boolean
  readonly isEnded: boolean
}

export interface ParsedSegment {
  readonly uri: string
  readonly seconds: number | null
  /** "n@o" of EXT-X-BYTERANGE. */
  readonly byteRange: { readonly length: number; readonly offset: number } | null
}

export const isMaster = (text: string): boolean => text.includes('#EXT-X-STREAM-INF:')

export const parseMaster = (text: string): ParsedMaster => {
  const lines = linesOf(text)
  const variants: { uri: string; attributes: ReadonlyMap<string, string> }[] = []
  lines.forEach((line, i) => {
    if (line.name === 'EXT-X-STREAM-INF') {
      const uri = lines[i + 1]?.uri ?? ''
      variants.push({ uri, attributes: parseAttributes(line.value) })
    }
  })
  const attributesOf = (name: string) =>
    lines.filter((line) => line.name === name).map(({ value }) => parseAttributes(value))
  return {
    tags: tagsOf(lines),
    version: numberIn(lines, 'EXT-X-VERSION'),
    variants,
    iFrames: attributesOf('EXT-X-I-FRAME-STREAM-INF'),
    media: attributesOf('EXT-X-MEDIA'),
  }
}

export const parseMedia = (text: string): ParsedMedia => {
  const lines = linesOf(text)
  const map = lines.findIndex(({ name }) => name === 'EXT-X-MAP')
  const firstUri = lines.findIndex(({ uri }) => uri !== null)
  return {
    tags: tagsOf(lines),
    version: numberIn(lines, 'EXT-X-VERSION'),
    targetDuration: numberIn(lines, 'EXT-X-TARGETDURATION'),
    playlistType: lines.find(({ name }) => name === 'EXT-X-PLAYLIST-TYPE')?.value ?? null,
    mapUri: parseAttributes(lines[map]?.value ?? '').get('URI') ?? null,
    mapIsLate: firstUri !== -1 && map > firstUri,
    segments: segmentsOf(lines),
    isIFramesOnly: lines.some(({ name }) => name === 'EXT-X-I-FRAMES-ONLY'),
    isEnded: lines.some(({ name }) => name === 'EXT-X-ENDLIST'),
  }
}

interface Line {
  /** Tag without "#", null for a URI. */
  readonly name: string | null
  readonly value: string
  readonly uri: string | null
}

const linesOf = (text: string): Line[] =>
  text
    .split(/\r?\n/)
    .filter((line) => line !== '' && (!line.startsWith('#') || line.startsWith('#EXT')))
    .map((line) => {
      if (!line.startsWith('#')) return { name: null, value: '', uri: line }
      const colon = line.indexOf(':')
      if (colon === -1) return { name: line.slice(1), value: '', uri: null }
      return { name: line.slice(1, colon), value: line.slice(colon + 1), uri: null }
    })

const tagsOf = (lines: readonly Line[]): ReadonlySet<string> =>
  new Set(lines.flatMap(({ name }) => (name === null ? [] : [name])))

const segmentsOf = (lines: readonly Line[]): ParsedSegment[] => {
  const segments: ParsedSegment[] = []
  let seconds: number | null = null
  let byteRange: ParsedSegment['byteRange'] = null
  for (const { name, value, uri } of lines) {
    if (name === 'EXTINF') seconds = finite(Number.parseFloat(value))
    if (name === 'EXT-X-BYTERANGE') byteRange = byteRangeOf(value)
    if (uri === null) continue
    segments.push({ uri, seconds, byteRange })
    seconds = null
    byteRange = null
  }
  return segments
}

const byteRangeOf = (value: string): ParsedSegment['byteRange'] => {
  const match = /^(\d+)@(\d+)$/.exec(value)
  return match === null ? null : { length: Number(match[1]), offset: Number(match[2]) }
}

const numberIn = (lines: readonly Line[], tag: string): number | null =>
  finite(Number.parseFloat(lines.find(({ name }) => name === tag)?.value ?? ''))

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null)
