import fc from 'fast-check'
import t from 'tap'
import { examples } from '../../schemas/examples.ts'
import { videoEvents } from '../../schemas/topics.ts'
import { explainFact } from './explain.ts'

const exampleOf = (type: string): Record<string, unknown> => ({ ...examples[type as keyof typeof examples] })

t.test('every fact of a video is explained in words, not by its name', async (t) => {
  const types = Object.keys(videoEvents.events)
  t.ok(types.length > 15, 'the topic declares its events')
  for (const type of types) {
    const { title, detail } = explainFact(type, exampleOf(type))
    t.not(title, type, `${type} has a sentence`)
    t.notMatch(`${title} ${detail}`, /undefined|null|NaN|\[object|\?/, `${type} reads well: ${title} · ${detail}`)
  }
})

t.test('the figures that matter are in the words', async (t) => {
  t.match(explainFact('UploadStarted', exampleOf('UploadStarted')), {
    title: 'Upload began',
    detail: 'sarek final (2).mp4 · 62.9 MB · 8 parts',
  })
  t.match(explainFact('SourceProbed', exampleOf('SourceProbed')).detail, /1280×720 · h264 · 25 fps · 1:00 · aac/)
  t.match(explainFact('TranscodePlanned', exampleOf('TranscodePlanned')).detail, /720p, 480p, 180p · 1 audio track/)
})

t.test('the first playlist and the complete one are milestones, those between are not', async (t) => {
  const at = (revision: number, complete: boolean) => explainFact('PlaylistPublished', { revision, complete })
  t.match(at(1, false), { title: 'Playable', minor: false, tone: 'good' })
  t.match(at(2, false), { minor: true, tone: 'plain' })
  t.match(at(9, true), { title: 'Ready, to the last frame', minor: false, tone: 'good' })
})

t.test('a fact of a later version is shown by its name', async (t) => {
  t.match(explainFact('SubtitlesTranslated', { language: 'sv' }), { title: 'SubtitlesTranslated', tone: 'plain' })
})

t.test('no body, whatever is in it, breaks the page', async () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...Object.keys(videoEvents.events)),
      fc.dictionary(fc.string(), fc.jsonValue()),
      (type, body) => {
        const { title, detail } = explainFact(type, { ...exampleOf(type), ...body })
        return typeof title === 'string' && typeof detail === 'string'
      },
    ),
  )
})
