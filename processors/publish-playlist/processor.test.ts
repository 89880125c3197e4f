import t from 'tap'
import { testDriver } from '../../runtime/testing/test-driver.ts'
import { examples, EXAMPLE_VIDEO_ID as VIDEO } from '../../schemas/examples.ts'
import type { RenditionTranscoded } from '../../schemas/generated.ts'
import { videoEvents } from '../../schemas/topics.ts'
import type { PublishInput } from './generated.ts'
import { publishPlaylist } from './processor.ts'

const SECOND_TICKS = 12_800
const NAMES = ['720p', '480p', '180p'] as const

const rendition = (track: string, name: string): RenditionTranscoded => ({
  ...examples.RenditionTranscoded,
  track,
  rendition: name,
})
const ALL = [...NAMES.map((name) => rendition('video', name)), rendition('audio-0', 'aac')]

const planned = () => {
  const driver = testDriver([publishPlaylist])
  const world = {
    driver,
    plan: () => driver.pipe(videoEvents, 'TranscodePlanned', VIDEO, examples.TranscodePlanned),
    /** A segment of the picture; the first three last 2 s, the others 6 s. */
    picture: (index: number) => world.segment('video', NAMES, index, index < 3 ? 2 : 6),
    sound: (index: number) => world.segment('audio-0', ['aac'], index, 6),
    segment: (track: string, names: readonly string[], index: number, seconds: number, key = `${track}-${index}`) =>
      driver.pipe(videoEvents, 'SegmentsTranscoded', VIDEO, {
        generation: 1,
        track,
        chunkIndex: 0,
        firstIndex: index,
        renditions: names.map((name) => ({
          rendition: name,
          init: { objectKey: 'init', sizeBytes: 800, checksum: 'sum', codecs: 'avc1.64001f', timescale: SECOND_TICKS },
          segments: [
            {
              index,
              objectKey: key,
              sizeBytes: 100_000,
              durationTicks: seconds * SECOND_TICKS,
              checksum: 'sum',
              fragments: [],
            },
          ],
        })),
      }),
    finish: () => {
      for (const one of ALL) driver.pipe(videoEvents, 'RenditionTranscoded', VIDEO, one)
    },
    /** What is in flight, as `revision: segments per track`. */
    asked: () => driver.effects().map(({ input }) => describe(input as PublishInput)),
    publish: (playableDurationMs: number) => {
      const { masterKey, renditions, warnings } = examples.PlaylistPublished
      const value = { masterKey, renditions, warnings, playableDurationMs }
      driver.settle(driver.effects()[0]?.id ?? '', { ok: true, value })
      driver.advance(0) // lets the processor read back what it said
    },
    said: () =>
      driver
        .read(videoEvents)
        .filter(({ type }) => ['PlaylistPublished', 'GenerationSelected', 'TranscodeFailed'].includes(type)),
    revisions: () => driver.read(videoEvents, 'PlaylistPublished').map(({ data }) => data.revision),
  }
  world.plan()
  return world
}

const describe = ({ revision, complete, tracks }: PublishInput): string =>
  `${revision}${complete ? ' complete' : ''}: ${tracks.map(({ segmentCount }) => segmentCount).join(' ')}`

t.test('begins when every track can be played', async (t) => {
  const { picture, sound, asked } = planned()
  picture(0)
  picture(1)
  t.strictSame(asked(), [], 'there is no sound yet')
  sound(0)
  t.strictSame(asked(), ['1: 2 1'])
})

t.test('says what is published, and selects the first generation with its first revision', async (t) => {
  const { picture, sound, publish, said } = planned()
  sound(0)
  picture(0)
  publish(2_000)
  t.match(said(), [
    { type: 'PlaylistPublished', data: { generation: 1, revision: 1, complete: false, playableDurationMs: 2_000 } },
    { type: 'GenerationSelected', data: { generation: 1, by: 'AUTO' } },
  ])
  picture(1)
  publish(4_000)
  t.equal(said().filter(({ type }) => type === 'GenerationSelected').length, 1)
})

t.test('one revision is in flight at a time; what closed meanwhile is in the next', async (t) => {
  const { picture, sound, asked, publish } = planned()
  sound(0)
  picture(0)
  picture(1)
  picture(2)
  t.strictSame(asked(), ['1: 1 1'])
  publish(2_000)
  t.strictSame(asked(), ['2: 3 1'])
})

t.test('after the first thirty seconds a revision follows at most every six seconds', async (t) => {
  const { driver, picture, sound, asked, publish, revisions } = planned()
  const thirtySeconds = [0, 1, 2, 3, 4, 5, 6]
  for (const index of thirtySeconds) sound(index)
  for (const index of thirtySeconds) picture(index)
  publish(30_000)
  picture(7)
  t.strictSame(asked(), [])
  driver.advance(5_999)
  t.strictSame(asked(), [])
  driver.advance(1)
  t.strictSame(asked(), ['2: 8 7'], 'by itself, without another event')
  publish(36_000)
  driver.advance(60_000)
  t.strictSame(asked(), [], 'nothing new, no revision')
  t.strictSame(revisions(), [1, 2])
})

t.test('the complete revision follows when every planned rendition is transcoded, without waiting', async (t) => {
  const { driver, picture, sound, asked, publish, said } = planned()
  sound(0)
  for (const index of [0, 1, 2]) picture(index)
  publish(6_000)
  for (const one of ALL.slice(1)) driver.pipe(videoEvents, 'RenditionTranscoded', VIDEO, one)
  t.strictSame(asked(), [])
  driver.pipe(videoEvents, 'RenditionTranscoded', VIDEO, rendition('video', '720p'))
  t.strictSame(asked(), ['2 complete: 3 1'])
  publish(6_000)
  t.match(said().at(-1)?.data, { revision: 2, complete: true })
})

t.test('a video too short to grow is published once', async (t) => {
  const { finish, segment, asked, publish, said } = planned()
  segment('video', NAMES, 0, 0.5)
  segment('audio-0', ['aac'], 0, 0.5)
  finish()
  t.strictSame(asked(), ['1 complete: 1 1'])
  publish(500)
  t.match(
    said().map(({ type }) => type),
    ['PlaylistPublished', 'GenerationSelected'],
  )
})

t.test('a gap ends what can be played: later chunks wait for it', async (t) => {
  const { picture, sound, asked, publish } = planned()
  sound(0)
  sound(1)
  picture(0)
  publish(2_000)
  picture(2)
  t.strictSame(asked(), [])
  picture(1)
  t.strictSame(asked(), ['2: 3 2'])
})

t.test('the executor finds the plan, the segments and the measured figures of what it was asked', async (t) => {
  const { driver, picture, sound, finish, publish } = planned()
  sound(0)
  picture(0)
  publish(2_000)
  finish()
  const reads = driver.readsOf(driver.effects()[0]?.id ?? '')
  const ids = (collection: string) => reads.get(collection)?.map(([id]) => id)
  t.strictSame(ids('plan'), ['1'])
  t.strictSame(ids('segment'), ['1/audio-0/000000', '1/video/000000'])
  t.strictSame(ids('rendition'), ['1/audio-0/aac', '1/video/180p', '1/video/480p', '1/video/720p'])
})

t.test('SegmentsTranscoded: the first report of an index wins', async (t) => {
  const { driver, picture, sound, segment } = planned()
  picture(0)
  segment('video', NAMES, 0, 2, 'another object')
  sound(0)
  const segments = driver.readsOf(driver.effects()[0]?.id ?? '').get('segment')
  t.match(segments?.[1]?.[1], { renditions: [{ segment: { objectKey: 'video-0' } }] })
})

t.test('everything doubled, or delayed past its successors, publishes nothing more', async (t) => {
  const { driver, plan, picture, sound, finish, asked, publish, said, revisions } = planned()
  const again = () => {
    plan()
    sound(0)
    for (const index of [0, 1, 2]) picture(index)
    finish()
  }
  sound(0)
  for (const index of [0, 1, 2]) picture(index)
  publish(6_000)
  finish()
  publish(6_000)
  const before = said().length
  again()
  driver.restart()
  again()
  driver.advance(60_000)
  t.strictSame(asked(), [])
  t.equal(said().length, before)
  t.strictSame(revisions(), [1, 2])
})

t.test('PlaylistPublished: an older revision that comes late changes nothing', async (t) => {
  const { driver, picture, sound, asked, publish } = planned()
  sound(0)
  picture(0)
  publish(2_000)
  picture(1)
  driver.pipe(videoEvents, 'PlaylistPublished', VIDEO, {
    ...examples.PlaylistPublished,
    revision: 1,
    complete: false,
    playableDurationMs: 2_000,
  })
  t.strictSame(asked(), ['2: 2 1'], 'still in flight, and nothing beside it')
})

t.test('a growing revision that cannot be written is given up for the next', async (t) => {
  const { driver, picture, sound, asked, publish, revisions } = planned()
  sound(0)
  picture(0)
  driver.fail(driver.effects()[0]?.id ?? '', { code: 'PLAYLIST_INVALID', detail: 'a MUST', retryable: false })
  picture(1)
  t.strictSame(asked(), ['2: 2 1'])
  publish(4_000)
  t.strictSame(revisions(), [2])
})

t.test('a complete revision that can never be written fails the encode, with a sentence', async (t) => {
  const { driver, segment, finish, said } = planned()
  segment('video', NAMES, 0, 0.5)
  segment('audio-0', ['aac'], 0, 0.5)
  finish()
  driver.fail(driver.effects()[0]?.id ?? '', { code: 'PLAYLIST_INVALID', detail: 'MUST 3: 7 > 6', retryable: false })
  t.match(said(), [
    { type: 'TranscodeFailed', data: { generation: 1, code: 'PLAYLIST_INVALID', detail: /^The video was/ } },
  ])
})

t.test('a store that is away for a while costs nothing', async (t) => {
  const { driver, segment, finish, asked, publish, said } = planned()
  segment('video', NAMES, 0, 0.5)
  segment('audio-0', ['aac'], 0, 0.5)
  finish()
  for (let run = 0; run < 20; run++) {
    driver.fail(driver.effects()[0]?.id ?? '', { code: 'S3_UNAVAILABLE', detail: 'away', retryable: true })
  }
  t.strictSame(asked(), ['1 complete: 1 1'])
  publish(500)
  t.match(said()[0]?.data, { complete: true })
})

t.test('keeps nothing of a video that is published but the fact that it is', async (t) => {
  const { driver, segment, finish, publish } = planned()
  segment('video', NAMES, 0, 0.5)
  segment('audio-0', ['aac'], 0, 0.5)
  finish()
  publish(500)
  const { plan, segment: segments, track, rendition } = driver.state('publish-playlist', VIDEO)
  t.strictSame({ plan, segments, track, rendition }, { plan: {}, segments: {}, track: {}, rendition: {} })
})

t.test('the deletion of the video ends what is in flight', async (t) => {
  const { driver, picture, sound, asked } = planned()
  sound(0)
  picture(0)
  driver.pipe(videoEvents, 'VideoDeleted', VIDEO, examples.VideoDeleted)
  picture(1)
  driver.advance(60_000)
  t.strictSame(asked(), [])
})
