import { createHash } from 'node:crypto'
import { parse } from 'yaml'
import { ConfigError } from '../platform/errors.ts'

/**
 * The ladder: which renditions exist, as data. `media/ladder.yml` is the one that ships; this file says what a valid
 * one is. All problems of a document are reported together.
 *
 * Sizes are boxes in square pixels, landscape. Rates are bits per second. Renditions are ordered largest first, because
 * the encoder scales each from the one before it (see arguments.ts).
 */
export interface LadderRendition {
  readonly name: string
  readonly width: number
  readonly height: number
  readonly crf: number
  readonly maxrateBps: number
  readonly bufsizeBits: number
  readonly preset: string
  readonly profile: string
}

export interface LadderAudio {
  readonly name: string
  readonly bitrateBps: number
  readonly channels: number
  readonly sampleRate: number
  readonly maxTracks: number
}

export interface Ladder {
  readonly renditions: readonly LadderRendition[]
  readonly audio: LadderAudio
}

const PRESETS = ['ultrafast', 'superfast', 'veryfast', 'faster', 'fast', 'medium', 'slow', 'slower', 'veryslow']
const PROFILES = ['baseline', 'main', 'high']
/** Sampling rates that AAC-LC in MP4 can signal and every player takes. */
const SAMPLE_RATES = [44100, 48000]
/** A name becomes a folder of object keys and part of a playlist's name. */
const NAME = /^[a-z0-9][a-z0-9-]{0,31}$/

/**
 * Reads a ladder document (YAML or JSON text).
 * Throws ConfigError LADDER_INVALID naming every problem; not retryable.
 */
export const parseLadder = (text: string): Ladder => {
  const document: unknown = parse(text)
  const problems: string[] = []
  const root = record(document, '', problems)
  refuseUnknown(root, ['renditions', 'audio'], '', problems)
  const entries = Array.isArray(root.renditions) ? root.renditions : []
  if (entries.length === 0) problems.push('renditions: expected at least one entry')
  const ladder: Ladder = {
    renditions: entries.map((entry, i) => rendition(entry, `renditions[${i}]`, problems)),
    audio: audio(root.audio, problems),
  }
  problems.push(...disorder(ladder.renditions))
  if (problems.length > 0) throw new ConfigError('LADDER_INVALID', `the ladder is not valid: ${problems.join('; ')}`)
  return ladder
}

/** SHA-256 (hex) of everything the ladder says: two ladders with one hash give the same renditions. Layout is ignored. */
export const ladderHash = (ladder: Ladder): string =>
  createHash('sha256')
    .update(JSON.stringify([ladder.renditions.map(sortedEntries), sortedEntries(ladder.audio)]))
    .digest('hex')

const sortedEntries = (value: object): [string, unknown][] =>
  Object.entries(value).sort(([a], [b]) => (a < b ? -1 : Number(a > b)))

const rendition = (value: unknown, at: string, problems: string[]): LadderRendition => {
  const fields = record(value, at, problems)
  const read = reader(fields, at, problems)
  const result: LadderRendition = {
    name: read.name('name'),
    width: read.integer('width', 16, 8192),
    height: read.integer('height', 16, 8192),
    crf: read.integer('crf', 0, 51),
    maxrateBps: read.integer('maxrateBps', 10_000, 200_000_000),
    bufsizeBits: read.integer('bufsizeBits', 10_000, 400_000_000),
    preset: read.oneOf('preset', PRESETS),
    profile: read.oneOf('profile', PROFILES),
  }
  if (result.width % 2 === 1 || result.height % 2 === 1)
    problems.push(`${at}: expected an even width and height (4:2:0)`)
  refuseUnknown(fields, Object.keys(result), at, problems)
  return result
}

const audio = (value: unknown, problems: string[]): LadderAudio => {
  const fields = record(value, 'audio', problems)
  const read = reader(fields, 'audio', problems)
  const result: LadderAudio = {
    name: read.name('name'),
    bitrateBps: read.integer('bitrateBps', 16_000, 512_000),
    channels: read.integer('channels', 1, 2),
    sampleRate: Number(read.oneOf('sampleRate', SAMPLE_RATES.map(String))),
    maxTracks: read.integer('maxTracks', 1, 16),
  }
  refuseUnknown(fields, Object.keys(result), 'audio', problems)
  return result
}

const disorder = (renditions: readonly LadderRendition[]): string[] => {
  const problems: string[] = []
  const names = new Set(renditions.map(({ name }) => name))
  if (names.size !== renditions.length) problems.push('renditions: two have the same name')
  renditions.forEach((entry, i) => {
    const previous = renditions[i - 1]
    if (previous === undefined) return
    const fits = entry.width <= previous.width && entry.height <= previous.height
    const same = entry.width === previous.width && entry.height === previous.height
    if (!fits || same)
      problems.push(`renditions[${i}]: expected a smaller box than that of "${previous.name}" before it`)
  })
  return problems
}

const record = (value: unknown, at: string, problems: string[]): Readonly<Record<string, unknown>> => {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  problems.push(`${at === '' ? 'document' : at}: expected a mapping`)
  return {}
}

const refuseUnknown = (fields: object, known: readonly string[], at: string, problems: string[]): void => {
  for (const name of Object.keys(fields)) {
    if (!known.includes(name)) problems.push(`${at === '' ? '' : `${at}.`}${name}: unknown field`)
  }
}

/** Reads single fields; a bad one is noted and a harmless value given, so that every problem is found in one pass. */
const reader = (fields: Readonly<Record<string, unknown>>, at: string, problems: string[]) => {
  const wrong = (field: string, expected: string): void => {
    problems.push(`${at}.${field}: expected ${expected}, got ${JSON.stringify(fields[field]) ?? 'nothing'}`)
  }
  return {
    integer: (field: string, min: number, max: number): number => {
      const value = fields[field]
      if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max) return value
      wrong(field, `a whole number from ${min} to ${max}`)
      return min
    },
    name: (field: string): string => {
      const value = fields[field]
      if (typeof value === 'string' && NAME.test(value)) return value
      wrong(field, 'a name of a-z, 0-9 and "-"')
      return ''
    },
    oneOf: (field: string, allowed: readonly string[]): string => {
      const value = String(fields[field])
      if (allowed.includes(value)) return value
      wrong(field, `one of ${allowed.join(', ')}`)
      return allowed[0] ?? ''
    },
  }
}
