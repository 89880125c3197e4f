import t from 'tap'
import { sizeText, stepText, timeText } from './upload-report.ts'

t.test('numbers are said as people say them', async (t) => {
  t.same([0, 999, 1000, 1_540_000, 250_000_000, 5e12, 5e15].map(sizeText), [
    '0 B',
    '999 B',
    '1.0 kB',
    '1.5 MB',
    '250 MB',
    '5.0 TB',
    '5000 TB',
  ])
  t.same([0, 400, 65_000, 3_605_000].map(timeText), ['0:00', '0:01', '1:05', '1:00:05'])
})

t.test('a fact is said as it is named', async (t) => {
  t.equal(stepText('RenditionTranscoded'), 'rendition transcoded')
})
