import { isMaster, type ParsedMaster, type ParsedMedia, parseMaster, parseMedia } from './parse.ts'

/**
 * Our own judge of a presentation: RFC 8216 and Apple's authoring rules, as far as text and object sizes show. Runs
 * before anything is published, and as `reelstream check-hls <url>` on anybody's playlists. Pure.
 *
 * MUST: some player fails or misbehaves; a playlist with such a finding is not published. SHOULD: it plays, but costs
 * quality or comfort; it becomes a warning. It shares no code with the playlist writers, which it is there to catch.
 */
export interface Finding {
  readonly level: 'MUST' | 'SHOULD'
  /** Stable name of the rule. */
  readonly rule: string
  /** The playlist it is about, as named by the master ('' = the master itself). */
  readonly uri: string
  readonly detail: string
}

export interface Presentation {
  readonly master: string
  /** Text of every playlist the master names, by the URI it uses. */
  readonly playlists: ReadonlyMap<string, string>
  /** Bytes of each segment in playlist order, by playlist URI, where known: then declared bandwidths are checked. */
  readonly segmentBytes?: ReadonlyMap<string, readonly number[]>
}

export const checkPresentation = (presentation: Presentation): readonly Finding[] => {
  if (!isMaster(presentation.master)) return [must('MASTER', '', 'expected at least one EXT-X-STREAM-INF')]
  const master = parseMaster(presentation.master)
  const variantUris = master.variants.map(({ uri }) => uri)
  const audioUris = uriAttributes(master.media)
  const iFrameUris = uriAttributes(master.iFrames)
  const missing = [...variantUris, ...audioUris, ...iFrameUris].filter((uri) => !presentation.playlists.has(uri))
  const parsed = (uris: readonly string[]): Named[] =>
    uris.flatMap((uri) => {
      const text = presentation.playlists.get(uri)
      return text === undefined ? [] : [{ uri, playlist: parseMedia(text), text }]
    })
  const [videos, audios, iFrames] = [parsed(variantUris), parsed(audioUris), parsed(iFrameUris)]
  return [
    ...missing.map((uri) => must('PLAYLIST_MISSING', uri, 'the master names a playlist that is not there')),
    ...checkMaster(presentation.master, master),
    ...[...videos, ...audios, ...iFrames].flatMap(checkMedia),
    ...iFrames.flatMap(checkIFrames),
    ...checkTogether(videos, audios),
    ...checkBandwidth(master, presentation, videos, audios),
  ]
}

/** True when nothing forbids publishing. */
export const isPublishable = (findings: readonly Finding[]): boolean => findings.every(({ level }) => level !== 'MUST')

interface Named {
  readonly uri: string
  readonly playlist: ParsedMedia
  readonly text: string
}

const must = (rule: string, uri: string, detail: string): Finding => ({ level: 'MUST', rule, uri, detail })
const should = (rule: string, uri: string, detail: string): Finding => ({ level: 'SHOULD', rule, uri, detail })
const unless = (holds: boolean, finding: Finding): Finding[] => (holds ? [] : [finding])

const uriAttributes = (list: readonly ReadonlyMap<string, string>[]): string[] =>
  list.flatMap((attributes) => attributes.get('URI') ?? [])

const checkMaster = (text: string, master: ParsedMaster): Finding[] => [
  ...unless(text.startsWith('#EXTM3U\n'), must('EXTM3U', '', 'expected #EXTM3U as the first line')),
  ...unless(
    master.tags.has('EXT-X-INDEPENDENT-SEGMENTS'),
    must('INDEPENDENT_SEGMENTS', '', 'expected EXT-X-INDEPENDENT-SEGMENTS'),
  ),
  ...unless(
    new Set(master.variants.map(({ uri }) => uri)).size === master.variants.length,
    must('VARIANT_URI', '', 'expected a different URI for every variant'),
  ),
  ...master.variants.flatMap(({ uri, attributes }) => checkVariant(uri, attributes, master)),
  ...master.media.flatMap(checkRendition),
  ...unless(master.iFrames.length > 0, should('I_FRAMES', '', 'expected I-frame playlists for scrubbing')),
]

const REQUIRED_OF_VARIANTS: Readonly<Record<string, RegExp>> = {
  BANDWIDTH: /^[1-9]\d*$/,
  'AVERAGE-BANDWIDTH': /^[1-9]\d*$/,
  CODECS: /^[\w.]+(,[\w.]+)*$/,
  RESOLUTION: /^[1-9]\d*x[1-9]\d*$/,
  'FRAME-RATE': /^\d+(\.\d{1,3})?$/,
  'CLOSED-CAPTIONS': /^NONE$/,
}

const checkVariant = (uri: string, attributes: ReadonlyMap<string, string>, master: ParsedMaster): Finding[] => {
  const group = attributes.get('AUDIO')
  const groups = master.media.filter((media) => media.get('TYPE') === 'AUDIO').map((media) => media.get('GROUP-ID'))
  const [peak, average] = ['BANDWIDTH', 'AVERAGE-BANDWIDTH'].map((name) => Number(attributes.get(name)))
  return [
    ...Object.entries(REQUIRED_OF_VARIANTS).flatMap(([name, pattern]) => {
      const value = attributes.get(name)
      const got = value === undefined ? 'nothing' : `"${value}"`
      return unless(pattern.test(value ?? ''), must('VARIANT_ATTRIBUTE', uri, `expected a valid ${name}, got ${got}`))
    }),
    ...unless(uri !== '', must('VARIANT_URI', uri, 'expected a URI after EXT-X-STREAM-INF')),
    ...unless(group === undefined || groups.includes(group), must('AUDIO_GROUP', uri, `no audio group "${group}"`)),
    ...unless(
      (group !== undefined) === groups.length > 0,
      must('AUDIO_GROUP', uri, 'expected every variant to name the audio group'),
    ),
    ...unless(
      !((peak ?? 0) > 2 * (average ?? 0)),
      should('PEAK', uri, `expected a peak of at most twice the average, got ${peak} and ${average}`),
    ),
  ]
}

const checkRendition = (media: ReadonlyMap<string, string>): Finding[] =>
  ['TYPE', 'GROUP-ID', 'NAME', 'LANGUAGE', 'DEFAULT', 'AUTOSELECT', 'CHANNELS', 'URI'].flatMap((name) =>
    unless(
      media.has(name),
      must('RENDITION_ATTRIBUTE', media.get('URI') ?? '', `expected EXT-X-MEDIA to have ${name}`),
    ),
  )

const checkMedia = ({ uri, playlist, text }: Named): Finding[] => {
  const { targetDuration, segments } = playlist
  const overlong = segments.filter(({ seconds }) => Math.round(seconds ?? 0) > (targetDuration ?? 0))
  return [
    ...unless(text.startsWith('#EXTM3U\n'), must('EXTM3U', uri, 'expected #EXTM3U as the first line')),
    ...unless((playlist.version ?? 0) >= 6, must('VERSION', uri, 'expected EXT-X-VERSION 6 or later with EXT-X-MAP')),
    ...unless(targetDuration !== null, must('TARGETDURATION', uri, 'expected EXT-X-TARGETDURATION')),
    ...overlong.map((segment) =>
      must('TARGETDURATION', uri, `expected at most ${targetDuration} s, got ${segment.seconds} s for ${segment.uri}`),
    ),
    ...unless(
      segments.every(({ seconds }) => seconds !== null && seconds > 0),
      must('EXTINF', uri, 'expected a duration above 0 for every segment'),
    ),
    ...unless(segments.length > 0, must('SEGMENTS', uri, 'expected at least one segment')),
    ...unless(playlist.mapUri !== null && !playlist.mapIsLate, must('MAP', uri, 'expected EXT-X-MAP before segments')),
    ...unless(
      ['VOD', 'EVENT'].includes(playlist.playlistType ?? ''),
      must('PLAYLIST_TYPE', uri, `expected VOD or EVENT, got ${playlist.playlistType}`),
    ),
    ...unless(
      playlist.playlistType !== 'VOD' || playlist.isEnded,
      must('ENDLIST', uri, 'expected a VOD playlist to end with EXT-X-ENDLIST'),
    ),
    ...unless(
      playlist.isEnded || playlist.tags.has('EXT-X-START'),
      should('START', uri, 'expected EXT-X-START in a growing playlist, or players join it at its end'),
    ),
  ]
}

const checkIFrames = ({ uri, playlist }: Named): Finding[] => [
  ...unless(playlist.isIFramesOnly, must('I_FRAMES_ONLY', uri, 'expected EXT-X-I-FRAMES-ONLY')),
  ...unless(
    playlist.segments.every(({ byteRange }) => byteRange !== null && byteRange.length > 0),
    must('BYTERANGE', uri, 'expected EXT-X-BYTERANGE for every I-frame'),
  ),
]

const checkTogether = (videos: readonly Named[], audios: readonly Named[]): Finding[] => {
  const [first] = videos
  if (first === undefined) return []
  const all = [...videos, ...audios]
  const cuts = (named: Named) => named.playlist.segments.map(({ seconds }) => seconds?.toFixed(6)).join(' ')
  const ended = (named: Named) => named.playlist.isEnded
  const length = (named: Named) => named.playlist.segments.reduce((sum, { seconds }) => sum + (seconds ?? 0), 0)
  return [
    ...all
      .filter(({ playlist }) => playlist.targetDuration !== first.playlist.targetDuration)
      .map(({ uri }) => must('SAME_TARGETDURATION', uri, 'expected one target duration in all playlists')),
    ...videos
      .filter((video) => cuts(video) !== cuts(first))
      .map(({ uri }) => must('ALIGNED', uri, `expected the segment durations of ${first.uri}`)),
    ...all
      .filter((named) => ended(named) !== ended(first))
      .map(({ uri }) => must('SAME_END', uri, 'one ended, one not')),
    ...audios
      .filter((audio) => ended(audio) && length(first) - length(audio) > LONGEST_SILENT_END)
      .map((audio) => should('AUDIO_LENGTH', audio.uri, `ends ${(length(first) - length(audio)).toFixed(3)} s early`)),
  ]
}

/** Seconds by which sound may end before the picture: players wait for missing sound. */
const LONGEST_SILENT_END = 0.1
/** Share by which a declared bandwidth may differ from the measured one. */
const BANDWIDTH_TOLERANCE = 0.01

const checkBandwidth = (
  master: ParsedMaster,
  { segmentBytes }: Presentation,
  videos: readonly Named[],
  audios: readonly Named[],
): Finding[] => {
  if (segmentBytes === undefined) return []
  const rates = (named: Named) => {
    const bytes = segmentBytes.get(named.uri) ?? []
    const target = named.playlist.targetDuration ?? 0
    const pieces = named.playlist.segments.map(({ seconds }, i) => ({
      bits: (bytes[i] ?? 0) * 8,
      seconds: seconds ?? 0,
    }))
    const seconds = pieces.reduce((sum, piece) => sum + piece.seconds, 0)
    const single = pieces.filter((piece) => piece.seconds >= target / 2).map((piece) => piece.bits / piece.seconds)
    return { peak: Math.max(0, ...single), average: pieces.reduce((sum, { bits }) => sum + bits, 0) / (seconds || 1) }
  }
  const sound = audios.map(rates)
  const loudest = (pick: (rate: { peak: number; average: number }) => number) => Math.max(0, ...sound.map(pick))
  return videos.flatMap((video) => {
    const measured = rates(video)
    const attributes = master.variants.find(({ uri }) => uri === video.uri)?.attributes
    const declaredPeak = Number(attributes?.get('BANDWIDTH'))
    const declaredAverage = Number(attributes?.get('AVERAGE-BANDWIDTH'))
    const peak = measured.peak + loudest((rate) => rate.peak)
    const average = measured.average + loudest((rate) => rate.average)
    const grown = video.playlist.isEnded
    return [
      ...unless(
        declaredPeak >= peak * (1 - BANDWIDTH_TOLERANCE),
        must('BANDWIDTH', video.uri, `expected at least ${Math.ceil(peak)}, got ${declaredPeak}`),
      ),
      ...unless(
        !grown || Math.abs(declaredAverage / average - 1) <= BANDWIDTH_TOLERANCE,
        must('AVERAGE_BANDWIDTH', video.uri, `expected ${Math.ceil(average)}, got ${declaredAverage}`),
      ),
    ]
  })
}
