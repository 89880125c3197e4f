import { createRequire } from 'node:module'
import fc from 'fast-check'
import t from 'tap'
import type { SegmentRecord } from '../types.ts'
import { iFrameBandwidth, measuredBandwidth, plannedVideoBandwidth } from './bandwidth.ts'
import { checkPresentation, type Finding, isPublishable } from './check.ts'
import { type MasterPlaylist, masterPlaylist } from './master-playlist.ts'
import { iFramePlaylist, type MediaPlaylist, mediaPlaylist, targetDurationOf } from './media-playlist.ts'

// An oracle that shares no code with ours. CommonJS without a default export that types and runtime agree on.
const hlsParser = createRequire(import.meta.url)('hls-parser') as typeof import('hls-parser')
hlsParser.setOptions({ strictMode: true })

const TIMESCALE = 12_800
const record = (index: number, gops: number, bytesPerGop: number): SegmentRecord => ({
  index,
  durationTicks: gops * 2 * TIMESCALE,
  sizeBytes: gops * bytesPerGop,
  fragments: Array.from({ length: gops }, (_, i) => ({
    offset: i * bytesPerGop,
    keyframeBytes: Math.ceil(bytesPerGop / 4),
    durationTicks: 2 * TIMESCALE,
  })),
})
const records = [record(0, 1, 100_000), record(1, 1, 120_000), record(2, 1, 110_000), record(3, 3, 100_000)]

const playlist = (complete: boolean, of: readonly SegmentRecord[] = records, folder = '720p'): MediaPlaylist => ({
  mapUri: `../video/${folder}/init.mp4`,
  timescale: TIMESCALE,
  targetDurationSeconds: 6,
  segments: of.map((entry) => ({
    uri: `../video/${folder}/${String(entry.index).padStart(5, '0')}.m4s`,
    record: entry,
  })),
  complete,
})

const bandwidth = measuredBandwidth(records, TIMESCALE, 6)
const sound = { peakBps: 130_000, averageBps: 129_000 }
const master = (audio: boolean): MasterPlaylist => ({
  variants: [
    {
      uri: 'video-720p.m3u8',
      width: 1280,
      height: 720,
      frameRateNum: 30_000,
      frameRateDen: 1001,
      codecs: 'avc1.64001f',
      bandwidth,
      iFrames: { uri: 'iframes-720p.m3u8', bandwidth: iFrameBandwidth(records, TIMESCALE, 6) },
    },
    {
      uri: 'video-180p.m3u8',
      width: 320,
      height: 180,
      frameRateNum: 30_000,
      frameRateDen: 1001,
      codecs: 'avc1.64000d',
      bandwidth,
      iFrames: null,
    },
  ],
  audio: audio
    ? [
        {
          uri: 'audio-0-aac.m3u8',
          name: 'English',
          language: 'en',
          isDefault: true,
          channels: 2,
          codecs: 'mp4a.40.2',
          bandwidth: sound,
        },
      ]
    : [],
})

t.test('a growing playlist is an EVENT that begins at 0', async (t) => {
  t.equal(
    mediaPlaylist(playlist(false, records.slice(0, 2))),
    `#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:6
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-PLAYLIST-TYPE:EVENT
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-START:TIME-OFFSET=0
#EXT-X-MAP:URI="../video/720p/init.mp4"
#EXTINF:2.000000,
../video/720p/00000.m4s
#EXTINF:2.000000,
../video/720p/00001.m4s
`,
  )
})

t.test('growing only appends', async (t) => {
  const short = mediaPlaylist(playlist(false, records.slice(0, 2)))
  t.ok(mediaPlaylist(playlist(false)).startsWith(short))
})

t.test('a complete playlist is VOD and ends', async (t) => {
  const text = mediaPlaylist(playlist(true))
  t.match(text, '#EXT-X-PLAYLIST-TYPE:VOD\n')
  t.notMatch(text, 'EXT-X-START')
  t.ok(text.endsWith('#EXTINF:6.000000,\n../video/720p/00003.m4s\n#EXT-X-ENDLIST\n'))
})

t.test('an I-frame playlist names the first picture of each fragment', async (t) => {
  const text = iFramePlaylist(playlist(true))
  t.match(text, '#EXT-X-I-FRAMES-ONLY\n')
  t.match(text, '#EXTINF:2.000000,\n#EXT-X-BYTERANGE:25000@200000\n../video/720p/00003.m4s\n#EXT-X-ENDLIST\n')
  t.equal(text.match(/BYTERANGE/g)?.length, 6)
})

t.test('the master playlist', async (t) => {
  t.equal(
    masterPlaylist(master(true)),
    `#EXTM3U
#EXT-X-VERSION:7
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="English",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="audio-0-aac.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=590000,AVERAGE-BANDWIDTH=549000,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=29.970,CLOSED-CAPTIONS=NONE,AUDIO="audio"
video-720p.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=590000,AVERAGE-BANDWIDTH=549000,CODECS="avc1.64000d,mp4a.40.2",RESOLUTION=320x180,FRAME-RATE=29.970,CLOSED-CAPTIONS=NONE,AUDIO="audio"
video-180p.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=115000,AVERAGE-BANDWIDTH=105000,CODECS="avc1.64001f",RESOLUTION=1280x720,URI="iframes-720p.m3u8"
`,
  )
  t.notMatch(masterPlaylist(master(false)), /AUDIO|mp4a/)
})

t.test('bandwidths', async (t) => {
  t.equal(bandwidth.averageBps, 420_000, '630,000 bytes in 12 s')
  t.equal(bandwidth.peakBps, 460_000, 'the worst run of 3 to 9 s is segments 1 and 2')
  const blip = measuredBandwidth([record(0, 1, 1000)], TIMESCALE, 6)
  t.strictSame(blip, { peakBps: 4000, averageBps: 4000 }, 'a video of one short segment')
  t.strictSame(measuredBandwidth([], TIMESCALE, 6), { peakBps: 0, averageBps: 0 })
  const [rendition] = [{ maxrateBps: 2_800_000, bufsizeBits: 4_200_000 }]
  const planned = plannedVideoBandwidth(
    { ...rendition, name: '', width: 2, height: 2, crf: 23, preset: '', profile: '' },
    6,
  )
  t.ok(planned.peakBps >= 2_800_000 + 4_200_000 / 6)
  t.equal(targetDurationOf([2.002, 6.006, 6.016]), 6)
  t.equal(targetDurationOf([0.04]), 1)
})

t.test('no run of segments that counts is faster than the declared peak', async () => {
  const anyRecords = fc.array(fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 1e6 })), {
    minLength: 1,
    maxLength: 30,
  })
  fc.assert(
    fc.property(anyRecords, (shapes) => {
      const list = shapes.map(([gops, bytes], i) => record(i, gops, bytes))
      const { peakBps, averageBps } = measuredBandwidth(list, TIMESCALE, 6)
      const whole = list.filter(({ fragments }) => fragments.length === 3)
      return peakBps >= averageBps && whole.every(({ sizeBytes }) => (sizeBytes * 8) / 6 <= peakBps)
    }),
  )
})

const audioRecords = [0, 1].map((index) => ({ index, durationTicks: 6 * 96_000, sizeBytes: 96_750, fragments: [] }))
const audioText = mediaPlaylist({ ...playlist(true, audioRecords, 'aac'), timescale: 96_000 })
const good = () => ({
  master: masterPlaylist(master(true)),
  playlists: new Map([
    ['video-720p.m3u8', mediaPlaylist(playlist(true))],
    ['video-180p.m3u8', mediaPlaylist(playlist(true, records, '180p'))],
    ['iframes-720p.m3u8', iFramePlaylist(playlist(true))],
    ['audio-0-aac.m3u8', audioText],
  ]),
})
const rulesOf = (findings: readonly Finding[]) => [...new Set(findings.map(({ level, rule }) => `${level} ${rule}`))]
const withMaster = (from: string | RegExp, to: string) => {
  const presentation = good()
  return rulesOf(checkPresentation({ ...presentation, master: presentation.master.replace(from, to) }))
}
const withPlaylist = (uri: string, from: string | RegExp, to: string) => {
  const { master, playlists } = good()
  playlists.set(uri, (playlists.get(uri) ?? '').replace(from, to))
  return rulesOf(checkPresentation({ master, playlists }))
}

t.test('everything that we write satisfies hls-parser in strict mode', async (t) => {
  const { master, playlists } = good()
  for (const text of [master, ...playlists.values(), mediaPlaylist(playlist(false))]) {
    t.doesNotThrow(() => hlsParser.parse(text))
  }
})

t.test('our checker has nothing to say about what we write', async (t) => {
  t.strictSame(checkPresentation(good()), [])
})

t.test('our checker finds each fault', async (t) => {
  const faults: readonly [string, string[], string[]][] = [
    ['no bandwidth', withMaster(/BANDWIDTH=\d+,/, ''), ['MUST VARIANT_ATTRIBUTE']],
    ['no frame rate', withMaster('FRAME-RATE=29.970,', ''), ['MUST VARIANT_ATTRIBUTE']],
    ['no caption statement', withMaster('CLOSED-CAPTIONS=NONE,', ''), ['MUST VARIANT_ATTRIBUTE']],
    ['a variant outside the sound group', withMaster(',AUDIO="audio"', ''), ['MUST AUDIO_GROUP']],
    ['an unknown sound group', withMaster('AUDIO="audio"', 'AUDIO="other"'), ['MUST AUDIO_GROUP']],
    ['no language', withMaster('LANGUAGE="en",', ''), ['MUST RENDITION_ATTRIBUTE']],
    ['not independent', withMaster('#EXT-X-INDEPENDENT-SEGMENTS\n', ''), ['MUST INDEPENDENT_SEGMENTS']],
    ['a playlist that is not there', withMaster('video-180p.m3u8', 'video-181p.m3u8'), ['MUST PLAYLIST_MISSING']],
    ['a steep peak', withMaster('BANDWIDTH=590000', 'BANDWIDTH=5900000'), ['SHOULD PEAK']],
    ['no variants', withMaster(/[\s\S]*/, '#EXTM3U\n'), ['MUST MASTER']],
    ['a segment too long', withPlaylist('audio-0-aac.m3u8', 'EXTINF:6.0', 'EXTINF:6.5'), ['MUST TARGETDURATION']],
    ['no header segment', withPlaylist('video-180p.m3u8', /#EXT-X-MAP.*\n/, ''), ['MUST MAP']],
    [
      'another target',
      withPlaylist('audio-0-aac.m3u8', 'TARGETDURATION:6', 'TARGETDURATION:7'),
      ['MUST SAME_TARGETDURATION'],
    ],
    ['unaligned cuts', withPlaylist('video-180p.m3u8', 'EXTINF:2.000000', 'EXTINF:2.040000'), ['MUST ALIGNED']],
    ['an old version', withPlaylist('video-180p.m3u8', 'VERSION:7', 'VERSION:3'), ['MUST VERSION']],
    [
      'VOD without an end',
      withPlaylist('video-180p.m3u8', '#EXT-X-ENDLIST\n', ''),
      ['MUST ENDLIST', 'SHOULD START', 'MUST SAME_END'],
    ],
    ['no byte range', withPlaylist('iframes-720p.m3u8', /#EXT-X-BYTERANGE.*\n/, ''), ['MUST BYTERANGE']],
    ['sound that ends early', withPlaylist('audio-0-aac.m3u8', 'EXTINF:6.0', 'EXTINF:5.0'), ['SHOULD AUDIO_LENGTH']],
  ]
  for (const [name, found, expected] of faults) {
    t.strictSame(found, expected, name)
  }
})

t.test('our checker compares declared with measured bandwidth', async (t) => {
  const segmentBytes = new Map([
    ['video-720p.m3u8', records.map(({ sizeBytes }) => sizeBytes)],
    ['video-180p.m3u8', records.map(({ sizeBytes }) => 2 * sizeBytes)],
    ['audio-0-aac.m3u8', [96_750, 96_750]],
  ])
  const findings = checkPresentation({ ...good(), segmentBytes })
  t.strictSame(
    findings.filter(({ level }) => level === 'MUST').map(({ rule, uri }) => `${rule} ${uri}`),
    ['BANDWIDTH video-180p.m3u8', 'AVERAGE_BANDWIDTH video-180p.m3u8'],
  )
  t.notOk(isPublishable(findings))
})

t.test('the checker never throws, whatever the text', async () => {
  const line = fc.constantFrom(...[...good().playlists.values(), good().master].join('').split('\n'))
  fc.assert(
    fc.property(fc.array(fc.oneof(line, fc.string())), (lines) => {
      const text = lines.join('\n')
      return Array.isArray(checkPresentation({ master: text, playlists: new Map([['video-720p.m3u8', text]]) }))
    }),
  )
})
