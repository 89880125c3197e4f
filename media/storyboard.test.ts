import fc from 'fast-check'
import t from 'tap'
import { argumentsOf } from './arguments.ts'
import { planStoryboard, storyboardCommand, storyboardVtt } from './storyboard.ts'

t.test('spreads 25 pieces over a video, fewer over a short one', async (t) => {
  t.match(planStoryboard(600_000), { count: 25, intervalMs: 24_000 })
  t.match(planStoryboard(5_500), { count: 5, intervalMs: 1100 })
  t.match(planStoryboard(40), { count: 1, intervalMs: 40 })
})

t.test('says which piece belongs to which time', async (t) => {
  t.equal(
    storyboardVtt({ ...planStoryboard(2_500), columns: 1 }, 'storyboard.jpg'),
    `WEBVTT

00:00:00.000 --> 00:00:01.250
storyboard.jpg#xywh=0,0,160,90

00:00:01.250 --> 00:00:02.500
storyboard.jpg#xywh=0,90,160,90
`,
  )
  t.match(storyboardVtt(planStoryboard(36_000_000), 'x'), '09:36:00.000 --> 10:00:00.000\nx#xywh=640,360,160,90')
})

t.test('cues cover the video without gap or overlap', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 86_400_000 }), (durationMs) => {
      const board = planStoryboard(durationMs)
      const covered = board.intervalMs * board.count
      return board.count <= 25 && covered >= durationMs && covered - durationMs < board.count
    }),
  )
})

t.test('decodes only IDRs when pieces are further apart than they are', async (t) => {
  t.match(
    argumentsOf(storyboardCommand(planStoryboard(600_000), '/in', 'out')).join(' '),
    '-skip_frame nokey -i file:/in',
  )
  t.notMatch(argumentsOf(storyboardCommand(planStoryboard(10_000), '/in', 'out')).join(' '), 'skip_frame')
})
