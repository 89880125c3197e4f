import t from 'tap'
import { testDriver } from '../../../runtime/testing/test-driver.ts'
import { examples } from '../../../schemas/examples.ts'
import { videoEvents } from '../../../schemas/topics.ts'
import { announcements, announceVideos } from './processor.ts'

const ready = { ...examples.PlaylistPublished, complete: true, revision: 3 }

t.test('a video that is ready is announced once, whatever dies', async (t) => {
  const driver = testDriver([announceVideos])
  driver.pipe(videoEvents, 'PlaylistPublished', 'video-1', ready)
  driver.pipe(videoEvents, 'PlaylistPublished', 'video-1', ready)
  driver.restart()
  const [post] = driver.effects()
  t.match(post, { name: 'post', key: 'video-1', input: { revision: 3 } })

  driver.settle(post?.id ?? '', { ok: true, value: { revision: 3 } })
  t.match(driver.read(announcements), [{ key: 'video-1', data: { revision: 3 } }])

  driver.lose('announce-videos')
  t.same(driver.effects(), [], 'its changelog is gone, and nothing is posted again')
})

t.test('nobody is told of a video that was deleted, or after a day of failures', async (t) => {
  const driver = testDriver([announceVideos])
  driver.pipe(videoEvents, 'PlaylistPublished', 'video-1', ready)
  driver.pipe(videoEvents, 'PlaylistPublished', 'video-2', ready)
  driver.pipe(videoEvents, 'VideoDeleted', 'video-1', examples.VideoDeleted)
  t.match(driver.effects(), [{ key: 'video-2' }])
  driver.advance(24 * 60 * 60 * 1000)
  t.same(driver.effects(), [])
})
