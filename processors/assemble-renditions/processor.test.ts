import fc from 'fast-check'
import t from 'tap'
import { testDriver } from '../../runtime/testing/test-driver.ts'
import { examples, EXAMPLE_VIDEO_ID as VIDEO } from '../../schemas/examples.ts'
import type { ChunkTranscoded, RenditionTranscoded, SegmentsTranscoded } from '../../schemas/generated.ts'
import { videoEvents } from '../../schemas/topics.ts'
import { assembleRenditions } from './processor.ts'

const FRAME_TICKS = examples.TranscodePlanned.plan.frameTicks
const TIMESCALE = examples.TranscodePlanned.plan.timescale
const [LARGE, , SMALL] = examples.TranscodePlanned.plan.renditions
const PLANNED = {
  ...examples.TranscodePlanned,
  plan: {
    ...examples.TranscodePlanned.plan,
    renditions: [LARGE, SMALL].flatMap((rendition) => rendition ?? []),
    chunks: [0, 1].map((index) => ({ index, startFrame: index * 300, endFrame: (index + 1) * 300, seekUs: null })),
  },
}

type Step =
  | { readonly type: 'SegmentsTranscoded'; readonly data: SegmentsTranscoded }
  | { readonly type: 'ChunkTranscoded'; readonly data: ChunkTranscoded }

/** Segment `index` of 6 s; the larger rendition has `kilobytes`, the smaller a tenth of it. */
const segments = (index: number, kilobytes: number, chunkIndex = 0): Step => ({
  type: 'SegmentsTranscoded',
  data: {
    ...examples.SegmentsTranscoded,
    chunkIndex,
    firstIndex: index,
    renditions: [['720p', kilobytes * 1_000] as const, ['180p', kilobytes * 100] as const].map(
      ([rendition, sizeBytes]) => segmentOf(rendition, index, sizeBytes, 150 * FRAME_TICKS, TIMESCALE, 'avc1.64001f'),
    ),
  },
})

const segmentOf = (
  rendition: string,
  index: number,
  sizeBytes: number,
  durationTicks: number,
  timescale: number,
  codecs: string,
) => ({
  rendition,
  init: { objectKey: `init-${rendition}`, sizeBytes: 800, checksum: 'sum', codecs, timescale },
  segments: [{ index, objectKey: `${rendition}-${index}`, sizeBytes, durationTicks, checksum: 'sum', fragments: [] }],
})

const shortSegment = (index: number, sizeBytes: number): Step => ({
  type: 'SegmentsTranscoded',
  data: {
    ...examples.SegmentsTranscoded,
    firstIndex: index,
    renditions: [segmentOf('720p', index, sizeBytes, 50 * FRAME_TICKS, TIMESCALE, 'avc1.64001f')],
  },
})

const sound = (index: number, sizeBytes: number): Step => ({
  type: 'SegmentsTranscoded',
  data: {
    generation: 1,
    track: 'audio-0',
    chunkIndex: 0,
    firstIndex: index,
    renditions: [segmentOf('aac', index, sizeBytes, 6 * 48_000, 48_000, 'mp4a.40.2')],
  },
})

const chunk = (chunkIndex: number, track = 'video'): Step => ({
  type: 'ChunkTranscoded',
  data: { ...examples.ChunkTranscoded, track, chunkIndex },
})

const PICTURE: readonly Step[] = [
  segments(0, 600),
  segments(1, 1_500),
  chunk(0),
  segments(2, 900, 1),
  segments(3, 600, 1),
  chunk(1),
]

const given = (steps: readonly Step[]) => {
  const driver = testDriver([assembleRenditions])
  driver.pipe(videoEvents, 'TranscodePlanned', VIDEO, PLANNED)
  const pipe = (...more: readonly Step[]) => {
    for (const step of more) {
      if (step.type === 'ChunkTranscoded') driver.pipe(videoEvents, step.type, VIDEO, step.data)
      else driver.pipe(videoEvents, step.type, VIDEO, step.data)
    }
  }
  pipe(...steps)
  const said = (): readonly RenditionTranscoded[] =>
    driver.read(videoEvents, 'RenditionTranscoded').map(({ data }) => data)
  return { driver, pipe, said }
}

t.test('announces the renditions of a track when every chunk is complete, not before', async (t) => {
  const { pipe, said } = given(PICTURE.slice(0, -1))
  t.strictSame(said(), [])
  pipe(chunk(1))
  t.strictSame(
    said().map(({ track, rendition }) => `${track}/${rendition}`),
    ['video/720p', 'video/180p'],
  )
})

t.test('measures bandwidths, length and size from the bytes that were made', async (t) => {
  const [large, small] = given(PICTURE).said()
  t.match(large, {
    generation: 1,
    track: 'video',
    rendition: '720p',
    width: 1280,
    height: 720,
    frameRate: 25,
    codecs: 'avc1.64001f',
    peakBandwidthBps: (1_500_000 * 8) / 6,
    averageBandwidthBps: (3_600_000 * 8) / 24,
    segmentCount: 4,
    durationMs: 24_000,
    sizeBytes: 3_600_000,
  })
  t.match(small, { rendition: '180p', width: 320, sizeBytes: 360_000, peakBandwidthBps: 200_000 })
})

t.test('a sound track is one chunk, without a picture', async (t) => {
  const { said } = given([sound(0, 96_000), sound(1, 90_000), chunk(0, 'audio-0')])
  t.match(said(), [
    {
      track: 'audio-0',
      rendition: 'aac',
      width: null,
      height: null,
      frameRate: null,
      codecs: 'mp4a.40.2',
      peakBandwidthBps: 128_000,
      averageBandwidthBps: 124_000,
      durationMs: 12_000,
    },
  ])
})

t.test('SegmentsTranscoded: the first report of an index wins', async (t) => {
  const { said } = given([segments(0, 600), segments(0, 9_999), ...PICTURE.slice(1)])
  t.equal(said()[0]?.sizeBytes, 3_600_000)
})

t.test('SegmentsTranscoded: several segments in one event count one by one', async (t) => {
  const both = segments(0, 600).data as SegmentsTranscoded
  const second = segments(1, 1_500).data as SegmentsTranscoded
  const renditions = both.renditions.map((rendition, n) => ({
    ...rendition,
    segments: [...rendition.segments, ...(second.renditions[n]?.segments ?? [])],
  }))
  const { said } = given([
    segments(1, 1_500),
    { type: 'SegmentsTranscoded', data: { ...both, renditions } },
    ...PICTURE.slice(2),
  ])
  t.equal(said()[0]?.sizeBytes, 3_600_000)
})

t.test('TranscodePlanned: doubled in the middle it does not begin anew', async (t) => {
  const { driver, pipe, said } = given(PICTURE.slice(0, 3))
  driver.pipe(videoEvents, 'TranscodePlanned', VIDEO, PLANNED)
  pipe(...PICTURE.slice(3))
  t.equal(said().length, 2)
})

t.test('RenditionTranscoded: what the log says already is not said again', async (t) => {
  const { driver, pipe, said } = given([])
  driver.pipe(videoEvents, 'RenditionTranscoded', VIDEO, examples.RenditionTranscoded)
  pipe(...PICTURE)
  t.strictSame(
    said().map(({ rendition }) => rendition),
    ['720p', '180p'],
  )
})

t.test('measures the peak over neighbours in the order of play', async (t) => {
  const quiet = Array.from({ length: 12 }, (_, index) => index)
  const steps = quiet.map((index) => shortSegment(index, index === 1 || index === 10 ? 400_000 : 100_000))
  const { said } = given([...steps, chunk(0), chunk(1)])
  t.equal(said()[0]?.peakBandwidthBps, (500_000 * 8) / 4, 'one loud segment of 2 s and a quiet one beside it')
})

t.test('ChunkTranscoded: doubled it counts once', async (t) => {
  const { said } = given([...PICTURE.slice(0, 3), chunk(0), ...PICTURE.slice(3, 5)])
  t.strictSame(said(), [])
})

t.test('everything doubled, or delayed past its successors, announces nothing twice', async (t) => {
  const { driver, pipe, said } = given(PICTURE)
  const once = said()
  driver.pipe(videoEvents, 'TranscodePlanned', VIDEO, PLANNED)
  pipe(...PICTURE)
  driver.restart()
  pipe(...PICTURE)
  for (const rendition of once) driver.pipe(videoEvents, 'RenditionTranscoded', VIDEO, rendition)
  pipe(...PICTURE)
  t.equal(said().length, 4, 'two of its own, two of this test')
})

t.test('chunks may complete in any order, and their reports may come twice: the figures are the same', async () => {
  const first = PICTURE.slice(0, 3)
  const second = PICTURE.slice(3)
  const expected = JSON.stringify(given(PICTURE).said())
  const interleaved = fc
    .array(fc.boolean(), { minLength: 12, maxLength: 12 })
    .map((picks) => interleave([...first, ...first], [...second, ...second], picks))
  fc.assert(
    fc.property(interleaved, (steps) => JSON.stringify(given(steps).said()) === expected),
    { numRuns: 40 },
  )
})

const interleave = (left: Step[], right: Step[], picks: readonly boolean[]): readonly Step[] => [
  ...picks.flatMap((pick) => (pick ? left.shift() : right.shift()) ?? []),
  ...left,
  ...right,
]

t.test('keeps what it measured no longer than it needs it', async (t) => {
  const { driver } = given([...PICTURE, segments(0, 600)])
  t.strictSame(driver.state('assemble-renditions', VIDEO).segment, {})
})

t.test('ignores a generation that was never planned, and a video that was deleted', async (t) => {
  const { driver, pipe, said } = given([])
  driver.pipe(videoEvents, 'ChunkTranscoded', VIDEO, { ...examples.ChunkTranscoded, generation: 2 })
  driver.pipe(videoEvents, 'VideoDeleted', VIDEO, examples.VideoDeleted)
  pipe(...PICTURE)
  t.strictSame(said(), [])
})
