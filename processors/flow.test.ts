import t from 'tap'
import { readLadder } from '../media/ladder-file.ts'
import { type DrivenEffect, type TestDriver, testDriver } from '../runtime/testing/test-driver.ts'
import { examples, EXAMPLE_VIDEO_ID as VIDEO } from '../schemas/examples.ts'
import type { RenditionSegments } from '../schemas/generated.ts'
import { transcodeJobs, transcodePool, videoEvents, videoIntake } from '../schemas/topics.ts'
import { type ProductSettings, productTopology, thinkingProcessors, workerProcessors } from './index.ts'

/** All processors together, from the first claim of an upload to a video that is ready: what each says, the next one hears. */
const SETTINGS: ProductSettings = {
  admission: { mediaBucket: examples.UploadStarted.bucket, importSources: ['archive'] },
  plan: { ladder: readLadder(), ladderHash: 'hash', toolchain: 'ffmpeg 5.1.9' },
  worker: { workerId: 'worker-1', videoSlots: 1, lightSlots: 1 },
}
const { etag, sizeBytes } = examples.UploadCompleted
const { checksum } = examples.PartUploaded
const PARTS = 8

const open = () => testDriver([...thinkingProcessors(SETTINGS), ...workerProcessors(SETTINGS)])

const upload = (driver: TestDriver): void => {
  driver.pipe(videoIntake, 'UploadStarted', VIDEO, { ...examples.UploadStarted, partCount: PARTS })
  for (let partNumber = 1; partNumber <= PARTS; partNumber++) {
    driver.pipe(videoIntake, 'PartUploaded', VIDEO, { ...examples.PartUploaded, partNumber })
  }
}

/** One whole minute, as a single segment of each rendition: the executors' part, without S3 and FFmpeg. */
const carryOut = (driver: TestDriver, { id, name, input }: DrivenEffect): void => {
  const ok = (value: unknown) => driver.settle(id, { ok: true, value })
  switch (name) {
    case 'complete':
      return ok({ completed: { etag, sizeBytes, checksum }, rejection: null, wrongParts: [] })
    case 'probe':
      return ok({ source: examples.SourceProbed.source, rejection: null })
    case 'transcodeVideo':
      driver.report(id, 1, { index: 0, renditions: SETTINGS.plan.ladder.renditions.map(({ name }) => minuteOf(name)) })
      return ok({ done: { frames: 1_500, cpuMs: null, wallMs: 27_000 }, failure: null })
    case 'transcodeAudio':
      driver.report(id, 1, { index: 0, renditions: [minuteOf('aac')] })
      return ok({ done: { frames: 2_880_000, cpuMs: null, wallMs: 1_000 }, failure: null })
    case 'extractThumbnails': {
      const { generation: _, ...keys } = examples.ThumbnailsExtracted
      return ok({ done: keys, failure: null })
    }
    case 'publish': {
      const { masterKey, renditions, playableDurationMs, warnings } = examples.PlaylistPublished
      return ok({ masterKey, renditions, playableDurationMs, warnings })
    }
    default:
      throw new Error(`nobody carries out ${name} ${JSON.stringify(input)}`)
  }
}

const minuteOf = (rendition: string): RenditionSegments => ({
  rendition,
  init: { objectKey: `${rendition}/init.mp4`, sizeBytes: 800, checksum, codecs: 'avc1.64001f', timescale: 12_800 },
  segments: [{ index: 0, objectKey: `${rendition}/0`, sizeBytes, durationTicks: 60 * 12_800, checksum, fragments: [] }],
})

const carryOutAll = (driver: TestDriver): void => {
  for (;;) {
    const [effect] = driver.effects()
    if (effect === undefined) return
    carryOut(driver, effect)
    driver.advance(0)
  }
}

const typesOf = (driver: TestDriver): readonly string[] =>
  driver.read(videoEvents).flatMap(({ type }) => (type === 'PartUploaded' ? [] : [type]))

/** Of every event. A worker announces its lanes whenever it opens them: that is no work done again. */
const idsOf = (driver: TestDriver) =>
  [videoEvents, transcodePool, transcodeJobs].flatMap((topic) =>
    driver.read(topic).flatMap(({ type, headers }) => (type === 'LaneOpened' ? [] : [headers.ce_id])),
  )

const effectsOf = (driver: TestDriver) => driver.effects().map(({ processor, id, key }) => `${processor} ${key} ${id}`)

const READY = [
  'UploadCompleted',
  'SourceProbed',
  'TranscodePlanned',
  'SegmentsTranscoded',
  'ChunkTranscoded',
  'RenditionTranscoded',
  'PlaylistPublished',
  'GenerationSelected',
  'ThumbnailsExtracted',
]

t.test('the edges of all processors fit together', async (t) => {
  t.equal(productTopology(SETTINGS).processors.length, 8)
})

t.test('an upload becomes a video that is ready', async (t) => {
  const driver = open()
  upload(driver)
  carryOutAll(driver)
  const types = typesOf(driver)
  for (const type of READY) t.ok(types.includes(type), type)
  t.equal(driver.read(videoEvents, 'RenditionTranscoded').length, 4)
  const published = driver.read(videoEvents, 'PlaylistPublished')
  t.equal(published.filter(({ data }) => data.complete).length, 1)
  t.strictSame(
    driver.read(transcodePool, 'JobSettled').map(({ data }) => data.ok),
    [true, true, true],
  )
})

t.test('an object that is already in S3 becomes a video without an upload', async (t) => {
  const driver = open()
  const { details } = examples.UploadStarted
  const claim = { ...examples.UploadCompleted, bucket: 'archive', authorId: 'author-1', details }
  driver.pipe(videoIntake, 'UploadCompleted', VIDEO, claim, { id: 'import' })
  driver.pipe(videoIntake, 'UploadCompleted', VIDEO, claim, { id: 'import' })
  carryOutAll(driver)
  const types = typesOf(driver)
  for (const type of READY) t.ok(types.includes(type), type)
  t.equal(driver.read(transcodeJobs, 'JobReleased').length, 3, 'no second transcode')
})

t.test('a restart before each step makes no other facts', async (t) => {
  const calm = open()
  upload(calm)
  carryOutAll(calm)
  const shaken = open()
  upload(shaken)
  for (;;) {
    shaken.restart()
    const [effect] = shaken.effects()
    if (effect === undefined) break
    carryOut(shaken, effect)
    shaken.advance(0)
  }
  t.strictSame([...typesOf(shaken)].sort(), [...typesOf(calm)].sort())
})

t.test('a processor that loses its changelog, at any moment, does nothing again', async (t) => {
  for (const { name } of [...thinkingProcessors(SETTINGS), ...workerProcessors(SETTINGS)]) {
    const driver = open()
    upload(driver)
    for (let step = 0; ; step++) {
      const before = { ids: idsOf(driver), effects: effectsOf(driver) }
      driver.lose(name)
      t.strictSame({ ids: idsOf(driver), effects: effectsOf(driver) }, before, `${name}, after ${step} effects`)
      const [effect] = driver.effects()
      if (effect === undefined) break
      carryOut(driver, effect)
      driver.advance(0)
    }
    for (const type of READY) t.ok(typesOf(driver).includes(type), `${name}: ${type}`)
  }
})

t.test('a deleted video leaves nothing running', async (t) => {
  const driver = open()
  upload(driver)
  for (let step = 0; step < 4; step++) {
    const [effect] = driver.effects()
    if (effect !== undefined && effect.name !== 'transcodeVideo') carryOut(driver, effect)
    driver.advance(0)
  }
  t.ok(driver.effects().some(({ name }) => name === 'transcodeVideo'))
  driver.pipe(videoIntake, 'VideoDeleted', VIDEO, examples.VideoDeleted)
  t.strictSame(driver.effects(), [])
  const facts = typesOf(driver).length
  driver.advance(48 * 60 * 60 * 1000)
  t.equal(typesOf(driver).length, facts)
})
