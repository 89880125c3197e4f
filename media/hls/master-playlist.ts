import { attributeList, quoted } from './attributes.ts'
import type { Bandwidth } from './bandwidth.ts'

/**
 * The master playlist. Pure; URIs relative to it are arguments.
 *
 * Written here and not by FFmpeg, whose own lacks AVERAGE-BANDWIDTH, FRAME-RATE and INDEPENDENT-SEGMENTS and is up to
 * 22 % off in BANDWIDTH. A variant is a picture with the sound group: its bandwidth is the sum, because a player
 * fetches both.
 */
export interface MasterPlaylist {
  /** In the order players see them; the first may be what they begin with. At least one. */
  readonly variants: readonly Variant[]
  /** Empty for silent videos. */
  readonly audio: readonly AudioRendition[]
}

export interface Variant {
  readonly uri: string
  readonly width: number
  readonly height: number
  readonly frameRateNum: number
  readonly frameRateDen: number
  /** Of the picture alone. */
  readonly codecs: string
  readonly bandwidth: Bandwidth
  /** null: no I-frame playlist is offered. */
  readonly iFrames: { readonly uri: string; readonly bandwidth: Bandwidth } | null
}

export interface AudioRendition {
  readonly uri: string
  readonly name: string
  readonly language: string
  readonly isDefault: boolean
  readonly channels: number
  readonly codecs: string
  readonly bandwidth: Bandwidth
}

export const masterPlaylist = ({ variants, audio }: MasterPlaylist): string => {
  const lines = [
    '#EXTM3U',
    '#EXT-X-VERSION:7',
    '#EXT-X-INDEPENDENT-SEGMENTS',
    ...audio.map(mediaTag),
    ...variants.flatMap((variant) => [streamTag(variant, audio), variant.uri]),
    ...variants.flatMap(iFrameTag),
  ]
  return `${lines.join('\n')}\n`
}

const AUDIO_GROUP = 'audio'

const mediaTag = (rendition: AudioRendition): string =>
  `#EXT-X-MEDIA:${attributeList([
    ['TYPE', 'AUDIO'],
    ['GROUP-ID', quoted(AUDIO_GROUP)],
    ['NAME', quoted(rendition.name)],
    ['LANGUAGE', quoted(rendition.language)],
    ['DEFAULT', rendition.isDefault ? 'YES' : 'NO'],
    // Otherwise players never switch to it by the user's language.
    ['AUTOSELECT', 'YES'],
    ['CHANNELS', quoted(String(rendition.channels))],
    ['URI', quoted(rendition.uri)],
  ])}`

const streamTag = (variant: Variant, audio: readonly AudioRendition[]): string => {
  const loudest = (pick: (bandwidth: Bandwidth) => number): number =>
    Math.max(0, ...audio.map(({ bandwidth }) => pick(bandwidth)))
  return `#EXT-X-STREAM-INF:${attributeList([
    ['BANDWIDTH', variant.bandwidth.peakBps + loudest(({ peakBps }) => peakBps)],
    ['AVERAGE-BANDWIDTH', variant.bandwidth.averageBps + loudest(({ averageBps }) => averageBps)],
    ['CODECS', quoted([...new Set([variant.codecs, ...audio.map(({ codecs }) => codecs)])].join(','))],
    ['RESOLUTION', `${variant.width}x${variant.height}`],
    ['FRAME-RATE', (variant.frameRateNum / variant.frameRateDen).toFixed(3)],
    // Said for every variant, or players look for captions inside the picture.
    ['CLOSED-CAPTIONS', 'NONE'],
    ['AUDIO', audio.length === 0 ? null : quoted(AUDIO_GROUP)],
  ])}`
}

const iFrameTag = ({ iFrames, codecs, width, height }: Variant): string[] => {
  if (iFrames === null) return []
  const attributes = attributeList([
    ['BANDWIDTH', iFrames.bandwidth.peakBps],
    ['AVERAGE-BANDWIDTH', iFrames.bandwidth.averageBps],
    ['CODECS', quoted(codecs)],
    ['RESOLUTION', `${width}x${height}`],
    ['URI', quoted(iFrames.uri)],
  ])
  return [`#EXT-X-I-FRAME-STREAM-INF:${attributes}`]
}
