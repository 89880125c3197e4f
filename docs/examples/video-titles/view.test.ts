import t from 'tap'
import { examples } from '../../../schemas/examples.ts'
import { videoTitles } from './view.ts'

const { UploadStarted, UploadCompleted, VideoDetailsChanged, VideoDeleted } = videoTitles.fold

t.test('a title comes with the upload, changes when it is changed, and goes with the video', async (t) => {
  const details = { ...examples.VideoDetailsChanged, title: 'Second cut' }
  const first = UploadStarted?.(undefined, examples.UploadStarted)
  t.equal(first, examples.UploadStarted.details?.title)
  t.equal(UploadCompleted?.(first, { ...examples.UploadCompleted, details: null }), first, 'an upload says it once')
  t.equal(VideoDetailsChanged?.(first, details), 'Second cut')
  t.equal(VideoDetailsChanged?.(first, { ...details, title: null }), first, 'what is null is unchanged')
  t.equal(VideoDeleted?.('Second cut', examples.VideoDeleted), undefined)
})
