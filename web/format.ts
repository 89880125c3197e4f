/** How the pages write lengths, sizes, rates and times. Pure: the clock comes as an argument. */

/** `0:07`, `12:34`, `1:02:03`. Rounded down, as players do. */
export const formatDuration = (durationMs: number): string => {
  const seconds = Math.floor(durationMs / 1000)
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60]
  const tail = String(rest).padStart(2, '0')
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, '0')}:${tail}` : `${minutes}:${tail}`
}

/** The same length for screen readers: `1 h 2 min 3 s`. */
export const speakDuration = (durationMs: number): string => {
  const seconds = Math.floor(durationMs / 1000)
  const parts = [
    [Math.floor(seconds / 3600), 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ] as const
  const said = parts.filter(([value]) => value > 0).map(([value, unit]) => `${value} ${unit}`)
  return said.join(' ') || '0 s'
}

const SIZE_UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB'] as const

/** Decimal units, as disks and networks are sold: `512 bytes`, `1.2 MB`. */
export const formatBytes = (sizeBytes: number): string => {
  const power = sizeBytes < 1000 ? 0 : Math.min(Math.floor(Math.log10(sizeBytes) / 3), SIZE_UNITS.length - 1)
  const value = sizeBytes / 1000 ** power
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${SIZE_UNITS[power]}`
}

export const formatSpeed = (bytesPerSecond: number): string => `${formatBytes(bytesPerSecond)}/s`

/** `180 kbit/s`, `2.8 Mbit/s`. */
export const formatBandwidth = (bandwidthBps: number): string =>
  bandwidthBps < 1e6 ? `${Math.round(bandwidthBps / 1000)} kbit/s` : `${(bandwidthBps / 1e6).toFixed(1)} Mbit/s`

/** What is left of something under way, no more exact than it can be: `5 s left`, `2 min left`. */
export const formatTimeLeft = (leftMs: number): string => {
  if (!Number.isFinite(leftMs)) return ''
  if (leftMs < 60_000) return `${Math.max(1, Math.round(leftMs / 1000))} s left`
  if (leftMs < 3_600_000) return `${Math.round(leftMs / 60_000)} min left`
  return `${(leftMs / 3_600_000).toFixed(1)} h left`
}

/** Time between two facts: `+40 ms`, `+1.3 s`, `+2 min 5 s`. */
export const formatGap = (gapMs: number): string => {
  if (gapMs < 1000) return `+${Math.round(gapMs)} ms`
  if (gapMs < 60_000) return `+${(gapMs / 1000).toFixed(1)} s`
  return `+${speakDuration(gapMs)}`
}

const AGES = [
  [365 * 24 * 3600, 'year'],
  [30 * 24 * 3600, 'month'],
  [7 * 24 * 3600, 'week'],
  [24 * 3600, 'day'],
  [3600, 'hour'],
  [60, 'minute'],
] as const

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' })

/** `just now`, `3 minutes ago`, `yesterday`. */
export const formatAge = (thenMs: number, nowMs: number): string => {
  const seconds = Math.round((nowMs - thenMs) / 1000)
  const age = AGES.find(([length]) => seconds >= length)
  return age === undefined ? 'just now' : relative.format(-Math.floor(seconds / age[0]), age[1])
}
