import t from 'tap'
import { parse, stringify } from 'yaml'
import { ConfigError } from '../platform/errors.ts'
import { ladderHash, parseLadder } from './ladder.ts'
import { readLadder } from './ladder-file.ts'

const shipped = readLadder()
const edited = (
  edit: (document: { renditions: Record<string, unknown>[]; audio: Record<string, unknown> }) => void,
) => {
  const document = parse(stringify(shipped))
  edit(document)
  return stringify(document)
}

t.test('ships 720p, 480p and 180p', async (t) => {
  t.strictSame(
    shipped.renditions.map(({ name, width, height }) => `${name} ${width}x${height}`),
    ['720p 1280x720', '480p 854x480', '180p 320x180'],
  )
})

t.test('accepts a rendition added by one entry', async (t) => {
  const text = edited(({ renditions }) =>
    renditions.unshift({ ...renditions[0], name: '1080p', width: 1920, height: 1080 }),
  )
  t.equal(parseLadder(text).renditions.length, 4)
})

t.test('names every problem at once', async (t) => {
  const text = edited(({ renditions, audio }) => {
    Object.assign(renditions[0] ?? {}, { crf: 'good', width: 1281, bitrate: 1 })
    Object.assign(renditions[2] ?? {}, { name: '../up', preset: 'warp', width: 999 })
    audio.sampleRate = 22050
  })
  t.throws(() => parseLadder(text), { code: 'LADDER_INVALID' })
  try {
    parseLadder(text)
  } catch (error) {
    t.ok(error instanceof ConfigError)
    const { message } = error as ConfigError
    for (const part of ['crf', 'even', 'bitrate: unknown', 'name', 'preset', 'smaller box', 'sampleRate']) {
      t.match(message, part)
    }
  }
})

t.test('refuses two renditions of one name, none at all, and a document that is no mapping', async (t) => {
  const twins = edited(({ renditions }) => Object.assign(renditions[1] ?? {}, { name: '720p' }))
  t.throws(() => parseLadder(twins), /same name/)
  t.throws(() => parseLadder(edited(({ renditions }) => renditions.splice(0))), /at least one/)
  t.throws(() => parseLadder('just text'), /mapping/)
})

t.test('hashes what a ladder says, not how it is written', async (t) => {
  const reordered = `audio: {maxTracks: 4, sampleRate: 48000, channels: 2, bitrateBps: 128000, name: aac}\n${stringify({ renditions: shipped.renditions })}`
  t.equal(ladderHash(parseLadder(reordered)), ladderHash(shipped))
  const other = parseLadder(edited(({ renditions }) => Object.assign(renditions[0] ?? {}, { crf: 22 })))
  t.not(ladderHash(other), ladderHash(shipped))
})
