/** What only a page that plays needs, in one chunk of its own: media-chrome's elements, its menus, and hls.js. */
import 'media-chrome'
import 'media-chrome/menu'

export { createPlayback } from './hls-playback.ts'
