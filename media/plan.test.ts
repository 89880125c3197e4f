import fc from 'fast-check'
import t from 'tap'
import { readLadder } from './ladder-file.ts'
import { framesOfSegment, planRenditions } from './plan.ts'
import { anAudioStream, aSource } from './testing.ts'

const ladder = readLadder()
const sizes = (video: Parameters<typeof aSource>[0]) =>
  planRenditions(aSource(video), ladder).renditions.map(({ name, width, height }) => `${name} ${width}x${height}`)

t.test('sizes', async (t) => {
  const cases: readonly [string, Parameters<typeof aSource>[0], string[]][] = [
    ['1080p', { width: 1920, height: 1080 }, ['720p 1280x720', '480p 854x480', '180p 320x180']],
    ['720p', { width: 1280, height: 720 }, ['720p 1280x720', '480p 854x480', '180p 320x180']],
    ['exactly 854x480', { width: 854, height: 480 }, ['480p 854x480', '180p 320x180']],
    ['between two rungs: own size', { width: 640, height: 360 }, ['480p 640x360', '180p 320x180']],
    ['hardly larger than a rung: not twice', { width: 340, height: 190 }, ['180p 320x178']],
    ['smaller than the lowest rung', { width: 160, height: 90 }, ['180p 160x90']],
    ['4:3', { width: 640, height: 480 }, ['480p 640x480', '180p 240x180']],
    ['21:9', { width: 2560, height: 1080 }, ['720p 1280x540', '480p 854x360', '180p 320x136']],
    ['portrait', { width: 1080, height: 1920 }, ['720p 720x1280', '480p 480x854', '180p 180x320']],
    ['turned phone', { width: 1920, height: 1080, rotation: 90 }, ['720p 720x1280', '480p 480x854', '180p 180x320']],
    ['upside down', { width: 1280, height: 720, rotation: 180 }, ['720p 1280x720', '480p 854x480', '180p 320x180']],
    [
      'PAL wide',
      { width: 720, height: 576, sarNum: 64, sarDen: 45 },
      ['720p 1024x576', '480p 854x480', '180p 320x180'],
    ],
    ['odd sides', { width: 853, height: 479 }, ['480p 852x478', '180p 320x180']],
    ['unknown aspect', { width: 640, height: 360, sarNum: 0, sarDen: 1 }, ['480p 640x360', '180p 320x180']],
    ['one pixel', { width: 1, height: 1 }, ['180p 2x2']],
  ]
  for (const [name, video, expected] of cases) t.strictSame(sizes(video), expected, name)
})

t.test('frame rates', async (t) => {
  const rate = (frameRateNum: number, frameRateDen: number, more = {}) => {
    const plan = planRenditions(aSource({ frameRateNum, frameRateDen, ...more }), ladder)
    return [plan.frameRateNum, plan.frameRateDen, plan.timescale, plan.frameTicks, plan.gopFrames]
  }
  t.strictSame(rate(25, 1), [25, 1, 12800, 512, 50], 'keeps a constant rate')
  t.strictSame(rate(30000, 1001), [30000, 1001, 30000, 1001, 60], 'keeps 29.97 exactly; 2 s are 60 frames')
  t.strictSame(rate(24000, 1001), [24000, 1001, 24000, 1001, 48])
  t.strictSame(rate(25, 2), [25, 2, 12800, 1024, 25], '12.5 stays')
  t.strictSame(rate(120, 1).slice(0, 2), [60, 1], 'halves what is above 60')
  t.strictSame(rate(1000, 1).slice(0, 2), [125, 4], 'until it fits')
  t.strictSame(rate(25, 1, { interlaced: true }).slice(0, 2), [50, 1], '25i becomes 50p')
  t.strictSame(rate(50, 1, { interlaced: true }).slice(0, 2), [50, 1])
  t.strictSame(rate(1, 5).slice(0, 2), [1, 1], 'a slide show is repeated up to 1 Hz')
})

t.test('frames', async (t) => {
  const plan = (video: Parameters<typeof aSource>[0], audio?: Parameters<typeof aSource>[1]) =>
    planRenditions(aSource(video, audio), ladder)
  t.equal(plan({ frameCount: 250 }).totalFrames, 250, 'a constant-rate source keeps its frames')
  t.equal(plan({ frameCount: null, durationUs: 10_000_000 }).totalFrames, 250)
  t.equal(plan({ frameCount: null }).totalFramesExact, false)
  t.equal(plan({ frameCount: 1, durationUs: 40_000 }).totalFrames, 1, 'one frame')
  t.equal(plan({ frameCount: 240, frameRateNum: 120 }).totalFrames, 120)

  const late = plan({ startTimeUs: 83_333, frameRateNum: 24, frameCount: 45 }, [anAudioStream({ startTimeUs: 0 })])
  t.equal(late.totalFrames, 47, 'sound that starts 2 frames earlier keeps its place')
  t.equal(late.originUs, 0)
  const primed = plan({ startTimeUs: 7_000 }, [anAudioStream({ startTimeUs: 0 })])
  t.equal(primed.originUs, 7_000, 'the first frame lies on the grid; less than half a frame of sound is cut')
})

t.test('segments are four times 1 s, four times 2 s, twice 4 s and then 6 s, counted in frames', async (t) => {
  const lengths = (source: Parameters<typeof aSource>[0]) => {
    const plan = planRenditions(aSource(source), ladder)
    return Array.from({ length: 12 }, (_, i) => framesOfSegment(plan, i))
  }
  t.strictSame(
    lengths({ frameRateNum: 30000, frameRateDen: 1001 }),
    [30, 30, 30, 30, 60, 60, 60, 60, 120, 120, 180, 180],
  )
  t.strictSame(lengths({ frameRateNum: 25, frameRateDen: 2 }), [13, 12, 13, 12, 25, 25, 25, 25, 50, 50, 75, 75])
  t.strictSame(lengths({ frameRateNum: 1, frameRateDen: 1 }), [1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 6, 6])
})

t.test('audio', async (t) => {
  const names = (...audio: Parameters<typeof anAudioStream>[0][]) =>
    planRenditions(aSource({}, audio.map(anAudioStream)), ladder).audio.map(({ name, isDefault }) => [name, isDefault])
  t.strictSame(names({ language: 'eng' }, { language: 'eng' }, { language: 'und' }), [
    ['eng', true],
    ['eng (2)', false],
    ['Audio 3', false],
  ])
  t.strictSame(names({ title: 'Say "hi"\n' }), [['Say  hi', true]], 'cannot break a playlist')
  t.equal(names({}, {}, {}, {}, {}, {}, {}, {}).length, 4, 'at most maxTracks')
  t.strictSame(names(), [])
})

t.test('colours', async (t) => {
  const colour = (video: Parameters<typeof aSource>[0]) => planRenditions(aSource(video), ladder).colour
  const tags = (space: string | null, transfer: string | null = null, primaries: string | null = null) => ({
    colour: { space, transfer, primaries, range: null },
  })
  t.match(colour(tags('bt709')), { mode: 'keep' })
  t.match(colour({ ...tags(null), width: 1280, height: 720 }), { mode: 'keep' }, 'unknown HD is 709')
  t.match(
    colour({ ...tags(null), width: 720, height: 576 }),
    { mode: 'matrix', inputMatrix: 'bt601' },
    'unknown SD is 601',
  )
  t.match(colour({ ...tags('bt709'), pixelFormat: 'yuvj420p' }), { mode: 'matrix', fullRange: true })
  t.match(colour(tags('bt2020nc', 'smpte2084', 'bt2020')), { mode: 'tonemap', inputTransfer: 'smpte2084' })
  t.match(colour(tags('bt2020nc', 'arib-std-b67', 'bt2020')), { mode: 'tonemap' })
  t.match(colour(tags('bt709', 'bt709', 'smpte432')), { mode: 'gamut', inputPrimaries: 'smpte432' })
  t.match(colour({ ...tags(null), pixelFormat: 'gbrp' }), { mode: 'matrix', inputMatrix: null })
  t.match(colour({ ...tags(null), pixelFormat: 'yuva420p' }), { flattenAlpha: true })
})

const anyVideo = fc.record({
  width: fc.integer({ min: 1, max: 16384 }),
  height: fc.integer({ min: 1, max: 16384 }),
  sarNum: fc.integer({ min: 0, max: 100 }),
  sarDen: fc.integer({ min: 1, max: 100 }),
  rotation: fc.constantFrom(0, 90, 180, 270),
  frameRateNum: fc.integer({ min: 1, max: 1_000_000 }),
  frameRateDen: fc.integer({ min: 1, max: 1001 }),
  startTimeUs: fc.integer({ min: 0, max: 3_600_000_000 }),
  durationUs: fc.integer({ min: 1, max: 86_400_000_000 }),
  frameCount: fc.constant(null),
  interlaced: fc.boolean(),
})

t.test('whatever the source, the plan can be encoded', async () => {
  fc.assert(
    fc.property(anyVideo, (video) => {
      const plan = planRenditions(aSource(video), ladder)
      const shown = video.rotation % 180 === 0 ? 1 : -1
      const aspect = ((video.width * (video.sarNum || 1)) / (video.height * (video.sarNum ? video.sarDen : 1))) ** shown
      let previous = { width: Infinity, height: Infinity }
      for (const { width, height } of plan.renditions) {
        if (width % 2 !== 0 || height % 2 !== 0 || width < 2 || height < 2) return false
        if (Math.max(width, height) > 1280 || Math.min(width, height) > 720) return false
        if (width > previous.width || height > previous.height) return false
        const fits = Math.abs(width - height * aspect) <= 2 * aspect + 2 || width === 2 || height === 2
        if (!fits) return false
        previous = { width, height }
      }
      const rate = plan.frameRateNum / plan.frameRateDen
      return (
        plan.renditions.length >= 1 &&
        rate >= 1 &&
        rate <= 60 &&
        plan.timescale * plan.frameRateDen === plan.frameTicks * plan.frameRateNum &&
        plan.timescale < 2 ** 31 &&
        plan.totalFrames >= 1 &&
        plan.gopFrames / rate > 1.3 &&
        plan.gopFrames / rate < 2.7 &&
        JSON.stringify(JSON.parse(JSON.stringify(plan))) === JSON.stringify(plan)
      )
    }),
    { numRuns: 2000 },
  )
})
