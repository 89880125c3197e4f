import { defineView } from '../../../runtime/view/view.ts'
import { videoEvents } from '../../../schemas/topics.ts'

/** The title of every video that has one, by videoId. */
export const videoTitles = defineView({
  topic: videoEvents,
  fold: {
    UploadStarted: (_before: string | undefined, { details }) => details?.title,
    UploadCompleted: (before, { details }) => details?.title ?? before,
    VideoDetailsChanged: (before, { title }) => title ?? before,
    VideoDeleted: () => undefined,
  },
})
