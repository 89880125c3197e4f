import { Type } from 'typebox'
import { VIDEO_ID } from '../ids.ts'

/** In paths. Whatever else stands there names no video, and is not looked up. */
export const VideoIdSchema = Type.String({ pattern: VIDEO_ID.source, description: 'videoId' })
