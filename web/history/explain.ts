/**
 * Facts in words. The log is the truth of this product, so the watch page shows it: each fact as a sentence that a
 * person understands, with the figures that matter. Pure. A fact of a kind that this page does not know yet is still
 * shown, by its name.
 */
import { formatBandwidth, formatBytes, formatDuration } from '../format.ts'

export interface Explanation {
  readonly title: string
  readonly detail: string
  readonly tone: 'good' | 'bad' | 'plain'
  /** One of many of its kind: hidden unless every fact is asked for. */
  readonly minor: boolean
}

type Body = Readonly<Record<string, unknown>>
type Explain = (body: Body) => Partial<Explanation> & { readonly title: string }

export const explainFact = (type: string, body: Body): Explanation => {
  const explain = EXPLANATIONS[type]
  return { detail: '', tone: 'plain', minor: false, ...(explain?.(body) ?? { title: type }) }
}

const EXPLANATIONS: Readonly<Record<string, Explain>> = {
  UploadStarted: (body) => ({
    title: 'Upload began',
    detail: sentence(
      text(record(body, 'details'), 'fileName'),
      bytes(body, 'sizeBytes'),
      count(body, 'partCount', 'part'),
    ),
  }),
  PartUploaded: (body) => ({
    title: `Part ${value(body, 'partNumber')} stored`,
    detail: sentence(bytes(body, 'sizeBytes'), 'checksum verified'),
    minor: true,
  }),
  PartRejected: (body) => ({
    title: `Part ${value(body, 'partNumber')} is wanted again`,
    detail: text(body, 'detail'),
    tone: 'bad',
  }),
  UploadSealed: (body) => ({
    title: 'Length of the file known',
    detail: sentence(bytes(body, 'sizeBytes'), count(body, 'partCount', 'part')),
  }),
  UploadAbortRequested: (body) => ({ title: 'Somebody gave the upload up', detail: text(body, 'reason') }),
  UploadCompleted: (body) => ({
    title: 'Upload complete',
    detail: sentence(bytes(body, 'sizeBytes'), 'one object, verified'),
    tone: 'good',
  }),
  UploadAborted: (body) => ({ title: 'Upload ended without a file', detail: text(body, 'detail'), tone: 'bad' }),
  SourceProbed: (body) => ({ title: 'Source checked', detail: describeSource(record(body, 'source')), tone: 'good' }),
  SourceRejected: (body) => ({ title: `Rejected: ${text(body, 'code')}`, detail: text(body, 'detail'), tone: 'bad' }),
  TranscodePlanned: (body) => ({ title: 'Encode planned', detail: describePlan(record(body, 'plan')) }),
  SegmentsTranscoded: (body) => {
    const [first] = list(body, 'renditions')
    const segments = list(first ?? {}, 'segments').length
    const from = number(body, 'firstIndex') ?? 0
    return {
      title: segments > 1 ? `Segments ${from} to ${from + segments - 1} encoded` : `Segment ${from} encoded`,
      detail: sentence(text(body, 'track'), names(body, 'renditions', 'rendition')),
      minor: true,
    }
  },
  ChunkTranscoded: (body) => ({
    title: `${trackName(body)} encoded to the end`,
    detail: sentence(framesOrSamples(body), time(body, 'wallMs', ''), time(body, 'cpuMs', ' of CPU'), attempt(body)),
  }),
  ChunkFailed: (body) => ({
    title: `An attempt failed: ${text(body, 'code')}`,
    detail: sentence(text(body, 'detail'), body.retryable === true ? 'will be tried again' : 'will not be tried again'),
    tone: 'bad',
  }),
  RenditionTranscoded: (body) => ({
    title: `${text(body, 'rendition')} finished`,
    detail: sentence(size(body), count(body, 'segmentCount', 'segment'), bandwidth(body, 'averageBandwidthBps')),
  }),
  TranscodeFailed: (body) => ({ title: `Failed: ${text(body, 'code')}`, detail: text(body, 'detail'), tone: 'bad' }),
  ThumbnailsExtracted: () => ({ title: 'Poster and storyboard made' }),
  PlaylistPublished: (body) => {
    const isComplete = body.complete === true
    const revision = number(body, 'revision') ?? 1
    return {
      title: isComplete ? 'Ready, to the last frame' : revision === 1 ? 'Playable' : `Playlist revision ${revision}`,
      detail: sentence(duration(body, 'playableDurationMs'), isComplete ? `revision ${revision}` : ''),
      tone: isComplete || revision === 1 ? 'good' : 'plain',
      minor: !isComplete && revision > 1,
    }
  },
  GenerationSelected: (body) => ({
    title: `Players get generation ${value(body, 'generation')}`,
    detail: body.by === 'PIN' ? 'chosen by an operator' : 'chosen by the pipeline',
  }),
  VideoDetailsChanged: (body) => ({
    title: 'Details changed',
    detail: sentence(CHANGEABLE.filter((field) => (body[field] ?? null) !== null).join(', '), revisionOf(body)),
  }),
  ClaimRefused: (body) => ({
    title: `Refused: ${text(body, 'code')}`,
    detail: sentence(text(body, 'claimType'), text(body, 'detail')),
    tone: 'bad',
  }),
  VideoDeleted: () => ({ title: 'Deleted', detail: 'for everybody and for ever', tone: 'bad' }),
}

const CHANGEABLE = ['title', 'description', 'author', 'tags', 'visibility', 'metadata']

const describeSource = (source: Body): string => {
  const video = record(source, 'video')
  const audio = list(source, 'audio').map((stream) => text(stream, 'codec'))
  return sentence(
    size(video),
    text(video, 'codec'),
    rate(video),
    duration(source, 'durationMs'),
    audio.length === 0 ? 'no sound' : audio.join(' + '),
  )
}

const describePlan = (plan: Body): string =>
  sentence(
    names(plan, 'renditions', 'name'),
    count({ n: list(plan, 'audio').length }, 'n', 'audio track'),
    count(plan, 'totalFrames', 'frame'),
    count({ n: list(plan, 'chunks').length }, 'n', 'chunk'),
  )

const trackName = (body: Body): string => (text(body, 'track').startsWith('audio') ? 'Sound' : 'Picture')

const framesOrSamples = (body: Body): string =>
  count(body, 'frames', text(body, 'track').startsWith('audio') ? 'sample' : 'frame')

/** What is known, joined; what is not is left out. */
const sentence = (...parts: readonly string[]): string => parts.filter((part) => part !== '').join(' · ')

const value = (body: Body, field: string): string => String(body[field] ?? '?')
const text = (body: Body, field: string): string => (typeof body[field] === 'string' ? body[field] : '')

/** Numbers beyond 2^53 may come as text. */
const number = (body: Body, field: string): number | null => {
  const found = body[field]
  if (typeof found !== 'number' && typeof found !== 'string') return null
  return Number.isFinite(Number(found)) ? Number(found) : null
}

const record = (body: Body, field: string): Body => {
  const found = body[field]
  return typeof found === 'object' && found !== null ? (found as Body) : {}
}

const list = (body: Body, field: string): readonly Body[] => (Array.isArray(body[field]) ? (body[field] as Body[]) : [])

const names = (body: Body, field: string, name: string): string =>
  list(body, field)
    .map((item) => text(item, name))
    .join(', ')

const whole = new Intl.NumberFormat('en')

const count = (body: Body, field: string, noun: string): string => {
  const n = number(body, field)
  return n === null ? '' : `${whole.format(n)} ${noun}${n === 1 ? '' : 's'}`
}

const figure =
  (format: (n: number) => string) =>
  (body: Body, field: string): string => {
    const n = number(body, field)
    return n === null ? '' : format(n)
  }

const bytes = figure(formatBytes)
const duration = figure(formatDuration)
const bandwidth = figure(formatBandwidth)

const time = (body: Body, field: string, what: string): string =>
  figure((ms) => `${(ms / 1000).toFixed(1)} s${what}`)(body, field)

const size = (body: Body): string => {
  const [width, height] = [number(body, 'width'), number(body, 'height')]
  return width === null || height === null ? '' : `${width}×${height}`
}

const rate = (video: Body): string => {
  const [over, under] = [number(video, 'frameRateNum'), number(video, 'frameRateDen')]
  return over === null || !under ? '' : `${Number((over / under).toFixed(2))} fps`
}

const attempt = (body: Body): string => {
  const n = number(body, 'attempt')
  return n === null || n === 1 ? '' : `attempt ${n}`
}

const revisionOf = (body: Body): string => {
  const n = number(body, 'revision')
  return n === null ? '' : `revision ${n}`
}
