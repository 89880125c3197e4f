import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { examples } from '../../schemas/examples.ts'
import { emptyPipeline, evolvePipeline, type PipelineFact, stepStates, withPercent } from './pipeline.ts'

const START = Date.UTC(2026, 0, 1)

const fact = (type: keyof typeof examples, atMs: number, body: object = examples[type]): PipelineFact => ({
  type,
  recordedAt: new Date(START + atMs).toISOString(),
  body: { ...body },
})

const fold = (facts: readonly PipelineFact[]) => facts.reduce(evolvePipeline, emptyPipeline)

const uploaded = [fact('UploadStarted', 0), fact('UploadCompleted', 4_000)]
const planned = [...uploaded, fact('SourceProbed', 4_200), fact('TranscodePlanned', 4_210)]
const growing = [...planned, fact('PlaylistPublished', 6_000, { complete: false })]
const ready = [...growing, fact('PlaylistPublished', 30_000, { complete: true })]

t.test('nothing has happened yet: the upload is under way', async (t) => {
  t.match(stepStates(emptyPipeline), { uploaded: 'active', checked: 'waiting', ready: 'waiting' })
})

t.test('a video can be playable while it is still being encoded', async (t) => {
  t.match(stepStates(fold(growing)), { planned: 'done', transcoded: 'active', playable: 'done', ready: 'waiting' })
  t.equal(fold(growing).reachedAtMs.playable, START + 6_000)
})

t.test('a complete playlist ends every step', async (t) => {
  t.same(new Set(Object.values(stepStates(fold(ready)))), new Set(['done']))
  t.equal(fold(ready).percent, 100)
})

t.test('a refused source fails the step that was under way, with its code', async (t) => {
  const refused = fold([...uploaded, fact('SourceRejected', 5_000, { code: 'NOT_MEDIA', detail: 'Not a video.' })])
  t.match(stepStates(refused), { uploaded: 'done', checked: 'failed', planned: 'waiting' })
  t.same(refused.failure, { code: 'NOT_MEDIA', message: 'Not a video.' })
})

t.test('facts that come twice change nothing', async () => {
  fc.assert(
    fc.property(fc.nat({ max: ready.length }), fc.nat({ max: ready.length }), (from, to) => {
      const again = fold([...ready, ...ready.slice(Math.min(from, to), Math.max(from, to))])
      return isDeepStrictEqual(again, fold(ready))
    }),
  )
})

t.test('progress never goes back', async (t) => {
  t.equal(withPercent(withPercent(emptyPipeline, 40), 30).percent, 40)
  t.equal(withPercent(emptyPipeline, 140).percent, 100)
})
