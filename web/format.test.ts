import fc from 'fast-check'
import t from 'tap'
import {
  formatAge,
  formatBandwidth,
  formatBytes,
  formatDuration,
  formatGap,
  formatTimeLeft,
  speakDuration,
} from './format.ts'

t.test('a duration reads as on a player', async (t) => {
  t.equal(formatDuration(0), '0:00')
  t.equal(formatDuration(7_999), '0:07')
  t.equal(formatDuration(754_000), '12:34')
  t.equal(formatDuration(3_723_000), '1:02:03')
})

t.test('any duration can be read back to the second', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 400_000 }), (seconds) => {
      const parts = formatDuration(seconds * 1000)
        .split(':')
        .map(Number)
      return parts.reduce((sum, part) => sum * 60 + part, 0) === seconds
    }),
  )
})

t.test('a spoken duration leaves out what is zero', async (t) => {
  t.equal(speakDuration(3_600_000), '1 h')
  t.equal(speakDuration(62_000), '1 min 2 s')
  t.equal(speakDuration(400), '0 s')
})

t.test('sizes change unit at a thousand', async (t) => {
  t.equal(formatBytes(0), '0 bytes')
  t.equal(formatBytes(999), '999 bytes')
  t.equal(formatBytes(1000), '1.0 kB')
  t.equal(formatBytes(12_345_678), '12.3 MB')
  t.equal(formatBytes(5e12), '5.0 TB')
})

t.test('bandwidths are bits', async (t) => {
  t.equal(formatBandwidth(199_600), '200 kbit/s')
  t.equal(formatBandwidth(2_800_000), '2.8 Mbit/s')
})

t.test('time left is no more exact than it can be, and silent when nothing is known', async (t) => {
  t.equal(formatTimeLeft(400), '1 s left')
  t.equal(formatTimeLeft(125_000), '2 min left')
  t.equal(formatTimeLeft(Number.POSITIVE_INFINITY), '')
})

t.test('gaps between facts', async (t) => {
  t.equal(formatGap(41.6), '+42 ms')
  t.equal(formatGap(1_340), '+1.3 s')
  t.equal(formatGap(125_000), '+2 min 5 s')
})

t.test('an age in words', async (t) => {
  const now = Date.UTC(2026, 0, 2)
  t.equal(formatAge(now + 5_000, now), 'just now')
  t.equal(formatAge(now - 3 * 60_000, now), '3 minutes ago')
  t.equal(formatAge(now - 24 * 3_600_000, now), 'yesterday')
})
